"""Text that others wrote, made fit to be shown: names, parameters, columns and logs are input."""

from __future__ import annotations


def printable(text: object, *, keep: str = "") -> str:
    """The text with what is no printable character, and not in `keep`, as an escape: `\\x1b`.

    Escape sequences of terminals, changes of direction and halves of characters do nothing then.
    """
    return "".join(
        ch if ch.isprintable() or ch in keep else ch.encode("unicode_escape").decode("ascii")
        for ch in str(text)
    )


def printable_lines(text: object) -> str:
    """The same for text of several lines; a carriage return begins a new one."""
    plain = str(text).replace("\r\n", "\n").replace("\r", "\n")
    return printable(plain, keep="\n\t")
