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
FORMULA = re.compile("'*[=+\\-@＝＋－＠\t\r\n]")  # how a cell begins that a spreadsheet may compute
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Markdown's markup but for HTML; a bracket alone is no link.
MARKUP = re.compile(r"([\\`*|~]|\](?=[(\[:])|(?<!\w)_|_(?!\w))")
ENTITY = re.compile(r"&(?=#?\w+;)")


def has_controls(text: str) -> bool:
    """Whether a name has characters that no name needs: controls, line ends, lone surrogates."""
    return bool(CONTROLS.search(text)) or "\n" in text or "\t" in text


def escape_controls(text: str, escape: str = "\\") -> str:
    r"""Show control characters as text, such as \x1b; tab and line feed stay as they are.

    Args:
        text: any text.
        escape: what a backslash is written as.
    """

    def show(match: re.Match[str]) -> str:
        code = ord(match[0])
        if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that isn't UTF-8
            code -= 0xDC00
        return f"{escape}x{code:02x}" if code < 0x100 else f"{escape}u{code:04x}"

    return CONTROLS.sub(show, text)


def escape_markdown(text: str) -> str:
    """Text for one line of Markdown: no cell ends in it, no link, image, HTML or emphasis begins.

    An address stays readable, and a reader of Markdown may make a link of it.
    """
    line = MARKUP.sub(r"\\\1", escape_controls(re.sub(r"\s+", " ", text)))
    return ENTITY.sub("&amp;", line).replace("<", "&lt;")


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
    return cell[1:] if cell[:1] == "'" and FORMULA.match(cell) else cell
