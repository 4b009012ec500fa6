"""A suggestion as an item of a completion menu, for editors that know no inline completion. Pure.

A menu shows what fits the word before the cursor, so an item replaces that word and begins with it.
What may be suggested is decided where inline completions are.
"""

import re

from lsprotocol import types as t

# Behind these, editors ask as they do behind a letter.
TRIGGERS = [*" .,:=([{"]
LABEL_CHARS = 60


def draws_inline(capabilities: t.ClientCapabilities) -> bool:
    """Tell whether an editor shows inline completions, and so needs no item in its menu."""
    document = capabilities.text_document
    return bool(document and document.inline_completion)


def word_before(text: str) -> str:
    """Return the word that ends the text; "" where something else does."""
    start = len(text)
    while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    return text[start:]


def to_menu(items: list[t.InlineCompletionItem], language: str) -> t.CompletionList:
    """Return the menu of inline items; the editor is to ask again at the next key."""
    return t.CompletionList(is_incomplete=True, items=[to_item(item, language) for item in items])


def to_item(item: t.InlineCompletionItem, language: str) -> t.CompletionItem:
    """Return an inline item with a range as one of a menu, that shows the whole text beside it."""
    assert item.range is not None
    text = str(item.insert_text)
    return t.CompletionItem(
        label=label(text),
        kind=t.CompletionItemKind.Text,
        detail="dgemma",
        documentation=t.MarkupContent(t.MarkupKind.Markdown, in_fence(text, language)),
        preselect=True,
        sort_text="!",  # Emacs reads no NUL
        filter_text=text.partition("\n")[0] or label(text),
        insert_text_format=t.InsertTextFormat.PlainText,
        insert_text_mode=t.InsertTextMode.AsIs,
        text_edit=t.TextEdit(item.range, text),
        command=item.command,
    )


def label(text: str) -> str:
    """Return the one line by which a text stands in a menu; "…" tells that there is more."""
    line = next(line.strip() for line in text.splitlines() if line.strip())
    shown = line[:LABEL_CHARS]
    return shown if shown == text.strip() else f"{shown} …"


def in_fence(text: str, language: str) -> str:
    """Return a text as Markdown code, whatever backquotes it has."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"
