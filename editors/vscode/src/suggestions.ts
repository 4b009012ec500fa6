// What was offered last, so that the server can be told when a person dismisses it. VS Code's stable
// API tells neither that a suggestion was drawn nor that a part of it was taken.

import * as vscode from "vscode";

interface Offer {
  readonly uri: string;
  readonly version: number;
  readonly items: readonly vscode.InlineCompletionItem[];
}

/** Remembers the suggestions of the one place where a person types. */
export class Suggestions {
  private offer: Offer | undefined;

  remember(document: vscode.TextDocument, items: readonly vscode.InlineCompletionItem[]): void {
    this.offer = { uri: document.uri.toString(), version: document.version, items };
  }

  /** Give back, once, what was offered for the document as it is now. */
  take(document: vscode.TextDocument): readonly vscode.InlineCompletionItem[] {
    const { offer } = this;
    this.offer = undefined;
    const current =
      offer?.uri === document.uri.toString() && offer.version === document.version
        ? offer
        : undefined;
    return current?.items ?? [];
  }
}

/** The items of an answer, which has two shapes. */
export function itemsOf(
  answer: vscode.InlineCompletionItem[] | vscode.InlineCompletionList | null | undefined,
): readonly vscode.InlineCompletionItem[] {
  return Array.isArray(answer) ? answer : (answer?.items ?? []);
}
