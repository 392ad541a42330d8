"""A live view in a notebook, by IPython's own display handle: no widgets, no extra installs."""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDTH = 100
_HEIGHT = 30
_PRE = "<pre style='font-family:monospace;line-height:1.2;white-space:pre'>{code}</pre>"


class Cell:
    """One output of a notebook cell that is redrawn; it is emptied at the end."""

    def __init__(self) -> None:
        shown: Any = importlib.import_module("IPython.display")  # every kernel has it
        self._html = shown.HTML
        self._handle = shown.display(shown.HTML(""), display_id=True)

    def __enter__(self) -> Cell:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.update(self._html(""))

    def update(self, picture: RenderableType, *, refresh: bool = True) -> None:
        """Show it in the place of what was shown before."""
        self._handle.update(self._html(as_html(picture)))


def as_html(picture: RenderableType) -> str:
    """What a terminal would show, as HTML; text is escaped."""
    console = Console(
        file=io.StringIO(), width=_WIDTH, height=_HEIGHT, record=True, force_jupyter=False,
        force_terminal=True, color_system="truecolor", markup=False, emoji=False, highlight=False,
    )  # fmt: skip
    console.print(picture)
    return console.export_html(inline_styles=True, code_format=_PRE)
