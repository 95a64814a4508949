"""Text from files that anybody may have written, made safe for terminals, Markdown and CSV."""

from __future__ import annotations

import re
from typing import TypeVar

T = TypeVar("T")

# Control characters but tab and line feed, C1 controls, marks that turn the direction of text
# (https://trojansource.codes), rarer line ends, byte order marks and lone surrogates.
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
FORMULA = re.compile("'*[=+\\-@\t\r\n]")  # how a cell begins that a spreadsheet may compute
QUOTED_FORMULA = re.compile("'+[=+\\-@\t\r\n]")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
MARKUP = re.compile(r"([\\`*\[\]|~]|(?<!\w)_|_(?!\w)|!(?=\[))")  # Markdown's, but for HTML


def has_controls(text: str) -> bool:
    """Whether a name has characters that no name needs: controls, line ends, lone surrogates."""
    return bool(CONTROLS.search(text)) or "\n" in text or "\t" in text


def escape_controls(text: str) -> str:
    r"""Show control characters as text, such as \x1b; tab and line feed stay as they are."""
    return CONTROLS.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that isn't UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def escape_markdown(text: str) -> str:
    """Text for one line of Markdown: no cell ends in it, no link, image, HTML or emphasis begins.

    `&` is escaped too, so that `&lt;` in a name isn't read as `<`.
    """
    line = MARKUP.sub(r"\\\1", escape_controls(" ".join(text.split())))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quote_cell(value: T) -> T | str:
    """A cell of a CSV that no spreadsheet computes: text that begins like a formula gets a '.

    Numbers, also as text, stay as they are. `unquote_cell` gives the text back.
    """
    if not isinstance(value, str):
        return value
    text = escape_controls(value)
    is_formula = FORMULA.match(text) and not NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text


def unquote_cell(cell: str) -> str:
    """What `quote_cell` was given, if that had no control characters."""
    return cell[1:] if QUOTED_FORMULA.match(cell) else cell
