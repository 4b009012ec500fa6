"""What a person sees of a running Neovim, drawn as an SVG picture from its own redraw events."""

import io
import re
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import pynvim
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

# Only what Neovim leaves to the terminal's own colours.
THEME = TerminalTheme((20, 22, 27), (224, 226, 234), [(20, 22, 27)] * 8)


def recorded_svg(console: Console, title: str, theme: TerminalTheme) -> str:
    """Return what a console has recorded as a picture; a viewer takes the fonts it has."""
    picture = console.export_svg(title=title, theme=theme)
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    return picture.replace("Fira Code", "ui-monospace, Menlo, Consolas")


class Cell(NamedTuple):
    text: str
    highlight: int


class Screen:
    """The grid of a user interface, kept up by redraw events."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows = [[Cell(" ", 0)] * width for _ in range(height)]
        self.highlights: dict[int, dict[str, Any]] = {0: {}}
        self.default = {"foreground": 0xE0E2EA, "background": 0x14161B}
        self.cursor = (0, 0)

    def apply(self, event: str, arguments: list[Any]) -> None:
        """Take one redraw event; those that draw nothing are left alone."""
        match event, arguments:
            case "default_colors_set", [foreground, background, *_]:
                self.default = {"foreground": foreground, "background": background}
            case "hl_attr_define", [number, attributes, *_]:
                self.highlights[number] = attributes
            case "grid_clear", _:
                self.rows = [[Cell(" ", 0)] * self.width for _ in range(self.height)]
            case "grid_cursor_goto", [_, row, column]:
                self.cursor = (row, column)
            case "grid_line", [_, row, column, cells, *_]:
                self._line(row, column, cells)
            case "grid_scroll", [_, top, bottom, left, right, rows, _]:
                self._scroll(top, bottom, left, right, rows)

    def _line(self, row: int, column: int, cells: list[list[Any]]) -> None:
        highlight = 0
        for text, *more in cells:
            highlight = more[0] if more else highlight
            repeat = more[1] if len(more) > 1 else 1
            self.rows[row][column : column + repeat] = [Cell(text, highlight)] * repeat
            column += repeat

    def _scroll(self, top: int, bottom: int, left: int, right: int, rows: int) -> None:
        before = [list(row) for row in self.rows]
        for row in range(top, bottom):
            if top <= row + rows < bottom:
                self.rows[row][left:right] = before[row + rows][left:right]

    def text(self) -> str:
        """The screen's characters alone."""
        return "\n".join("".join(cell.text for cell in row).rstrip() for row in self.rows)

    def svg(self, title: str) -> str:
        """The screen as a picture."""
        console = Console(
            width=self.width, record=True, file=io.StringIO(), color_system="truecolor"
        )
        for number, row in enumerate(self.rows):
            styles = [
                (cell.text, self._style(cell.highlight, (number, column) == self.cursor))
                for column, cell in enumerate(row)
            ]
            line = Text(end="")
            for style, cells in groupby(styles, key=itemgetter(1)):
                line.append("".join(text for text, _ in cells), style)
            console.print(line, no_wrap=True, overflow="crop")
        return recorded_svg(console, title, THEME)

    def _style(self, number: int, is_cursor: bool) -> Style:
        attributes = self.default | self.highlights[number]
        foreground, background = attributes["foreground"], attributes["background"]
        if bool(attributes.get("reverse")) != is_cursor:
            foreground, background = background, foreground
        return Style(
            color=f"#{foreground:06x}",
            bgcolor=f"#{background:06x}",
            bold=attributes.get("bold"),
            italic=attributes.get("italic"),
        )


def look(nvim: pynvim.Nvim, width: int, height: int) -> Screen:
    """Be the user interface of this Neovim for one picture; return what it draws."""
    screen = Screen(width, height)
    nvim.ui_attach(width, height, rgb=True, ext_linegrid=True)
    while not _is_flushed(screen, nvim.next_message()):
        pass
    nvim.ui_detach()
    return screen


def _is_flushed(screen: Screen, message: list[Any]) -> bool:
    """Apply one message's events; tell whether they ended a whole picture with text in it."""
    _, _, events = message
    flushed = False
    for name, *calls in events:
        for arguments in calls:
            screen.apply(name, arguments)
        flushed = flushed or name == "flush"
    return flushed and bool(screen.text().strip())
