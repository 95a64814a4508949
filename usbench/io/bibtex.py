"""BibTeX entries: read strictly, written in one form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from usbench.errors import ConfigError

HEAD = re.compile(r"\s*@(\w+)\s*\{\s*([^\s,{}]+)\s*,")
FIELD = re.compile(r"\s*(\w+)\s*=\s*(?:(\d+)|(?=\{))")
SEPARATOR = re.compile(r"\s*(,|(?=\}))")
END = re.compile(r"[\s,]*\}")


@dataclass(frozen=True)
class Entry:
    """One entry."""

    kind: str  # article, misc, inproceedings …
    key: str  # what \cite names
    fields: Mapping[str, str]  # name → value as BibTeX has it, without the outer braces


def read_entries(text: str, where: str) -> list[Entry]:
    """The entries of a text: @kind{key, name = {value}, …}.

    Args:
        text: entries with nothing between them; a value is in braces or a number.
        where: what the text is, for messages.

    Raises:
        ConfigError: something else stands there, or a brace isn't closed.
    """
    entries = []
    place = 0
    while text[place:].strip():
        head = HEAD.match(text, place)
        if head is None:
            raise unexpected(text, place, where, "@kind{key, …}")
        fields, place = read_fields(text, head.end(), where)
        entries.append(Entry(head[1].lower(), head[2], fields))
    return entries


def read_fields(text: str, place: int, where: str) -> tuple[dict[str, str], int]:
    """(the fields of an entry, the place after its last brace). place: of the first field."""
    fields: dict[str, str] = {}
    while not (end := END.match(text, place)):
        match = FIELD.match(text, place)
        if match is None:
            raise unexpected(text, place, where, "name = {value}, or } at the entry's end")
        value, place = match[2], match.end()
        if value is None:
            close = closing_brace(text, place)
            if close is None:
                raise unexpected(text, place, where, "a } for each {")
            value, place = text[place + 1 : close], close + 1
        fields[match[1].lower()] = " ".join(value.split())
        following = SEPARATOR.match(text, place)
        if following is None:
            raise unexpected(text, place, where, "a comma between fields, or } at the entry's end")
        place = following.end()
    return fields, end.end()


def closing_brace(text: str, place: int) -> int | None:
    """The place of the brace that closes the one at a place; None where none does."""
    depth = 0
    for n in range(place, len(text)):
        depth += (text[n] == "{") - (text[n] == "}")
        if depth == 0:
            return n
    return None


def unexpected(text: str, place: int, where: str, expected: str) -> ConfigError:
    """The error for what stands at a place."""
    rest = " ".join(text[place:].split())
    return ConfigError(f"{where}: expected BibTeX, {expected}; got {rest[:40]!r}")


def write_entries(entries: Iterable[Entry]) -> str:
    """The entries as text, one field per line."""
    return "\n".join(map(write_entry, entries))


def write_entry(entry: Entry) -> str:
    """One entry as text."""
    width = max(map(len, entry.fields), default=0)
    fields = [f"  {name:<{width}} = {{{value}}}" for name, value in entry.fields.items()]
    return ",\n".join([f"@{entry.kind}{{{entry.key}", *fields]) + "\n}\n"
