// Tells the server what other extensions find wrong in a document: it hears nothing of them itself.

import * as vscode from "vscode";

import type { Server } from "./server.ts";

const { Error, Warning } = vscode.DiagnosticSeverity;
// As the protocol counts.
const SEVERITIES: Partial<Record<vscode.DiagnosticSeverity, number>> = { [Error]: 1, [Warning]: 2 };
// More than the server would read of any place.
const MOST = 500;

/** Tell of every change, and of a document that a person turns to. */
export function tellDiagnostics(server: Server): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.languages.onDidChangeDiagnostics(({ uris }) => {
      for (const uri of uris) {
        tell(server, uri);
      }
    }),
    vscode.window.onDidChangeActiveTextEditor((editor) => {
      if (editor !== undefined) {
        tell(server, editor.document.uri);
      }
    }),
  );
}

function tell(server: Server, uri: vscode.Uri): void {
  const name = uri.toString();
  const isOpen = vscode.workspace.textDocuments.some((one) => one.uri.toString() === name);
  if (server.client === undefined || !isOpen) {
    return;
  }
  const diagnostics = vscode.languages
    .getDiagnostics(uri)
    .filter(({ severity }) => SEVERITIES[severity] !== undefined)
    .slice(0, MOST)
    .map(({ range, message, severity, source }) => ({
      line: range.start.line,
      message,
      severity: SEVERITIES[severity],
      source,
    }));
  const params = { textDocument: { uri: name }, diagnostics };
  // A server that ends meanwhile need not hear of it.
  server.client.sendNotification("dgemma/diagnostics", params).catch(() => undefined);
}
