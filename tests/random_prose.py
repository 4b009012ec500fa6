"""Random Markdown and random answers of a model, for tests that what must stay does stay."""

import random

WORDS = [
    "the",
    "a",
    "model",
    "writes",
    "text",
    "and",
    "then",
    "reads",
    "what",
    "stands",
    "there",
    "with",
    "care",
    "so",
    "it",
    "holds",
]
KEPT = [
    "`x = f(1)`",
    "``a ` b``",
    "[the guide](https://example.org/a_(b)?c=1#d)",
    "![logo](img/logo.png)",
    "<https://example.org>",
    "https://example.org/path?q=1",
    "42",
    "3.14",
    "12,5 %",
    "2026-11-26",
    "snake_case_name",
    "camelCase",
    "os.path.join()",
    "src/main.py",
    "--dry-run",
    "[^1]",
    "<br>",
    "&amp;",
    "\\*",
    "v1.2.3",
    "HTTP",
    "{name}",
    "me@example.org",
]
# What a model may write that Markdown, or a terminal, would read as something else.
NASTY = [
    *["# ", "- ", "1. ", "> ", "```", "~~~\n", "---", "===", "|", "`", "``", "[a](b)", "[x]: y"],
    *["<div>", "</p>", "<!--", "&lt;", "\\", "\n", "\n\n", "    ", "\t", "*", "**", "_", "\0"],
    *[
        "\ufffd",
        "\u2028",
        "\ue000",
        "$",
        "~~",
        ":",
        "::",
        "+ ",
        "* ",
        "1) ",
        "![",
        "](",
        "42",
        "é🙂",
    ],
]


def _sentence(draw: random.Random) -> str:
    parts = [
        draw.choice(WORDS if draw.random() < 0.75 else KEPT) for _ in range(draw.randint(3, 14))
    ]
    return f"{' '.join(parts).capitalize() if draw.random() < 0.3 else ' '.join(parts)}."


def _paragraph(draw: random.Random, prefix: str = "") -> str:
    lines = [_sentence(draw) for _ in range(draw.randint(1, 3))]
    return f"\n{prefix}".join(lines)


def document(draw: random.Random) -> str:
    """A Markdown document with every kind of block in some order."""
    blocks = [
        lambda: f"{'#' * draw.randint(1, 4)} {_sentence(draw)}",
        lambda: f"{_sentence(draw)}\n{draw.choice('=-') * 5}",
        lambda: _paragraph(draw),
        lambda: f"{_sentence(draw)}  \n{_sentence(draw)}",
        lambda: f"> {_paragraph(draw, '> ')}",
        lambda: f"- {_paragraph(draw, '  ')}\n- {_sentence(draw)}\n  - {_sentence(draw)}",
        lambda: f"1. {_sentence(draw)}\n2. {_sentence(draw)}\n\n   {_paragraph(draw, '   ')}",
        lambda: f"```python\n# {_sentence(draw)}\nx = 1\n```",
        lambda: f"| {_sentence(draw)} | b |\n|---|:-:|\n| {_sentence(draw)} | `c` |",
        lambda: f"<div>\n{_sentence(draw)}\n</div>",
        lambda: f"[ref]: https://example.org/{draw.randint(1, 9)}",
        lambda: "---",
        lambda: f"    {_sentence(draw)}",
    ]
    return "\n\n".join(draw.choice(blocks)() for _ in range(draw.randint(1, 8))) + "\n"


def answer(draw: random.Random) -> str:
    """What a model may write for one part: words, what is nasty, or nothing."""
    return "".join(
        draw.choice(NASTY) if draw.random() < 0.4 else draw.choice(WORDS) + " "
        for _ in range(draw.randint(0, 8))
    )
