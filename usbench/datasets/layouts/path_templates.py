"""Path templates: where a release's files lie and what their names say.

    Images/bus_{id}.png                               {id} is any text within one folder's name
    train/{patient:\\d+}_{image:\\d+}.tif             a field with a regular expression
    {view:2CH|4CH}/{view}_{n}.png                     a field that comes twice has one value
    {id}_mask*.png                                    * is any text, or none
    {id}.{:png|jpg}                                   one of these words, in upper or lower case

The suffix matches in upper and lower case.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usbench.errors import ConfigError, DataError
from usbench.io.plain_text import has_controls

_PART = re.compile(r"\{(\w+)(?::([^{}]*))?\}|(\*)|\{:([^{}]+)\}")
_WORDS = re.compile(r"[\w-]+(\|[\w-]+)*")  # a field's expression that only lists words
Fields = Mapping[str, str]


@dataclass(frozen=True)
class FoundFile:
    """A file that a template matches."""

    path: str  # relative to the root, with forward slashes
    fields: Fields


class PathTemplate:
    """A path relative to a release's root, with fields.

    A folder beside those that a field's words list is refused, unless `skips_others` is set.

    Raises:
        ConfigError: the path leaves the release, a brace is alone, or a field's expression is none.
    """

    def __init__(self, text: str) -> None:
        folders = Path(text).parts
        if not text or Path(text).is_absolute() or ".." in folders:
            raise ConfigError(f"{text!r}: expected a path below the release's folder")
        if "{" in (rest := _PART.sub("", text)) or "}" in rest:
            raise ConfigError(f"{text!r}: expected a name between {{ and }}, such as {{id}}")
        self.text, self.skips_others = text, False
        self.fields = tuple(dict.fromkeys(match[1] for match in _PART.finditer(text) if match[1]))
        self._pattern = _compile(text)
        plain = folders[:-1]
        first = next((n for n, folder in enumerate(plain) if _PART.search(folder)), len(plain))
        self.folder, self._depth = Path(*plain[:first]), len(plain) - first
        self._words = {  # folder fields that list their words → those words
            (n - first, match[1]): match[2].split("|")
            for n, folder in enumerate(plain)
            if (match := _PART.fullmatch(folder)) and match[2] and _WORDS.fullmatch(match[2])
        }

    @property
    def is_flat(self) -> bool:
        """Whether all its files are in one folder."""
        return self._depth == 0

    def match(self, path: str) -> Fields | None:
        """The fields of a path relative to the root; None where it doesn't match."""
        match = self._pattern.fullmatch(path)
        return match.groupdict() if match else None

    def fill(self, fields: Fields) -> str:
        """The path of these fields; a star becomes nothing, and a field that isn't there a star.

        Of several words it has the first.
        """

        def fill_part(part: re.Match[str]) -> str:
            if part[4]:
                return part[4].split("|")[0]
            return "" if part[3] else fields.get(part[1], "*")

        return _PART.sub(fill_part, self.text)

    def words(self) -> dict[str, str]:
        """A word for each field: the first that its expression lists, else its own name."""
        words: dict[str, str] = {}
        for part in _PART.finditer(self.text):
            if part[1]:
                listed = part[2] and _WORDS.fullmatch(part[2])
                words.setdefault(part[1], part[2].split("|")[0] if listed else part[1])
        return words

    def find(self, root: Path) -> list[FoundFile]:
        """Every file that matches, in order of path.

        Raises:
            DataError: the folder isn't there, a folder's name isn't one of the listed words, or a
                name isn't plain text.
        """
        folder = root / self.folder
        if not folder.is_dir():
            got = "a file" if folder.exists() else "no such folder"
            raise DataError(f"{folder}: expected a folder with {self.text}, got {got}")
        found = []
        for path in _list_files(folder, self._depth):
            relative = path.removeprefix(f"{root}{os.sep}").replace(os.sep, "/")
            fields = self.match(relative)
            if fields is None:
                if not self.skips_others:
                    self._require_listed_words(root, relative)
                continue
            if has_controls(relative):
                raise DataError(
                    f"{folder}: expected file names in UTF-8 without control characters, got "
                    f"{relative!r}; rename it"
                )
            found.append(FoundFile(relative, fields))
        return sorted(found, key=lambda file: file.path)

    def _require_listed_words(self, root: Path, path: str) -> None:
        """DataError where only a folder's name keeps the path from matching."""
        folders = Path(path).parts[len(self.folder.parts) : -1]
        for (n, name), words in self._words.items():
            if folders[n] not in words:
                raise DataError(
                    f"{root / path}: expected a folder {', '.join(words)} for {name}, "
                    f"got {folders[n]!r}; move it away, or is this another release?"
                )


def _compile(text: str) -> re.Pattern[str]:
    parts, end, seen = [], 0, set()
    for match in _PART.finditer(text):
        parts.append(re.escape(text[end : match.start()]))
        end = match.end()
        if match[3]:
            parts.append("[^/]*")
        elif match[4]:
            parts.append(f"(?i:{match[4]})")
        elif match[1] in seen:
            parts.append(f"(?P={match[1]})")
        else:
            seen.add(match[1])
            parts.append(f"(?P<{match[1]}>{match[2] or '[^/]+?'})")
    tail = text[end:]
    stem, dot, suffix = tail.rpartition(".")
    parts.append(f"{re.escape(stem + dot)}(?i:{re.escape(suffix)})" if dot else re.escape(tail))
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise ConfigError(
            f"{text!r}: expected regular expressions in its fields ({error})"
        ) from error


def _list_files(folder: Path | str, depth: int) -> Iterator[str]:
    """Files so many folders below, but for hidden ones (._a.png aren't the release's)."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if depth and entry.is_dir():
                yield from _list_files(entry.path, depth - 1)
            elif not depth and entry.is_file():
                yield entry.path


def join_fields(template: PathTemplate, fields: Fields) -> str:
    """The id that a template's fields make: its values in their order, with / between."""
    return "/".join(fields[name] for name in template.fields)


def split_id(identity: str, names: Sequence[str]) -> dict[str, str]:
    """The fields of such an id; DataError where it has another number of them."""
    values = identity.split("/")
    if len(values) != len(names):
        raise DataError(
            f"sample {identity}: expected an id of {'/'.join(names)}, got {len(values)} parts"
        )
    return dict(zip(names, values, strict=True))
