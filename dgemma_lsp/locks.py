"""What of a text must stay as it is when the rest is rewritten. Pure; no model, no structure.

Code, links, numbers and names are found by their looks; whoever wants more kept names it. Found too
often costs little: the rest is written around it.
"""

import re
from collections.abc import Sequence

# What Markdown reads as something else than words; the longest first at each place. Nothing here
# and below may take longer than the text is long, give or take a factor: any text may be selected.
_MARKDOWN = [
    r"(?P<ticks>`++)(?:.|\n){1,1000}?(?<!`)(?P=ticks)(?!`)",  # code
    r"!?\[(?:[^\[\]]|\[[^\[\]]{0,200}\]){0,500}\]"  # links and pictures
    r"(?:\([^()\n]{0,1000}(?:\([^()\n]{0,200}\)[^()\n]{0,200}){0,5}\)|\[[^\[\]]{0,500}\])?",
    r"<[A-Za-z/!?][^<>]*+>",  # HTML, and links in angle brackets
    r"&(?:#\d++|#x[0-9a-fA-F]++|\w++);",
    r"\\[^\w\s]",  # what is escaped
    r"\$\$?[^$\n]++\$\$?",
]
_EVERYWHERE = [
    r"`[^`\n]++`",
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s<>\"')\]]+[^\s<>\"')\].,;:!?]",
    r"\bwww\.[^\s<>\"')\]]+[^\s<>\"')\].,;:!?]",
    r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++",
    r"(?<!\w)[@#][\w/-]++",
    r"\{\{[^{}]*+\}\}|\{[^{}\s]*+\}|%\([^()]*+\)[sdrf]|%[sdrf]\b",  # what a program fills in
    r"(?<!\w)--?[A-Za-z][\w-]*+(?:=\S++)?",  # options of a command
    r"(?<![\w./-])(?:(?:~|\.{1,2})?/[\w.-]++|[\w.-]++(?=/))(?:/[\w.-]++)*+/?",  # paths
    r"(?:(?<=[$€£¥])|(?<![\w.,:/-]))[+-]?\d++(?:[.,:/-]\d++)*+(?:\s?[%€$£¥°])?(?!\w)",
    r"[$€£¥](?=\d)",
]
# A word with what belongs to it where it is a name in code; which it is, its looks say.
_CODE = re.compile(r"(?<!\w)\w++(?:(?:\.|::|->)\w++)*+(?:\(\))?")
_LOOKS_LIKE_CODE = re.compile(r"[_\d.(:>]|[a-z][A-Z]|[A-Z]{2,}[a-z]?\Z")
_CAPITAL = re.compile(r"(?<=[^\W_] )[A-Z][^\W\d_]+(?:[-' ][A-Z][^\W\d_]+)*|(?<=, )[A-Z][^\W\d_]+")
_WORD = re.compile(r"[^\W\d_]+")
# Where more of the words begin so, as in German, a capital tells no name; a few tell nothing.
_TOO_MANY, _FEW = 0.2, 4
_NOT_NAMES = {"I"}

_PLAIN = re.compile("|".join(_EVERYWHERE))
_MARKED = re.compile("|".join([*_MARKDOWN, *_EVERYWHERE]))


def kept(
    text: str, *, markdown: bool = False, names: bool = True, also: Sequence[str] = ()
) -> list[tuple[int, int]]:
    """Return where the spans begin and end that must stay, in order and apart.

    With `names`, what begins with a capital inside a sentence is one. `also` are texts that stay
    wherever they occur. What touches or overlaps is one span.
    """
    found = [match.span() for match in (_MARKED if markdown else _PLAIN).finditer(text)]
    found += [match.span() for match in _CODE.finditer(text) if _LOOKS_LIKE_CODE.search(match[0])]
    found += [match.span() for word in also if word for match in re.finditer(re.escape(word), text)]
    found += _names(text) if names else []
    joined: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def capitals_tell(text: str) -> bool:
    """Tell whether a capital inside a sentence means a name in this text."""
    capitals = sum(len(_WORD.findall(text[start:end])) for start, end in _names(text))
    return capitals <= max(_FEW, _TOO_MANY * len(_WORD.findall(text)))


def _names(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _CAPITAL.finditer(text) if match[0] not in _NOT_NAMES]
