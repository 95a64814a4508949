"""A predictions file and, beside it, the list of the images that were predicted: written together,
read with a check.

Predictions alone can't tell "nothing found" from "not predicted", hence the list. What a prediction
looks like is for the modules coco and unity to know. Image ids start at 1: the COCO evaluators take
an annotation with id 0 for none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO, TypedDict

from usbench.datasets.codecs.image import MOST_PIXELS
from usbench.datasets.codecs.readers import is_number, read_json
from usbench.errors import DataError
from usbench.io.files import replacing


class ImageEntry(TypedDict):
    """One predicted image."""

    id: int  # from 1, in the file's order
    file_name: str
    group: str
    height: int
    width: int


class PairWriter:
    """Both files, growing on disk one entry per line, always the same bytes. Use it with `with`.

    Both appear when the block ends well, neither when it doesn't. An old list of images goes before
    the predictions change and the new one comes after them: a kill in between leaves none, which
    reading refuses.
    """

    def __init__(self, predictions: Path, images: Path, brackets: str = "[]") -> None:
        """brackets: `[]` where the predictions are a JSON list, `{}` where they are an object."""
        self.predictions, self.images, self._brackets = predictions, images, brackets
        self._names: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open both files beside their places; RunError where they can't be written."""
        with ExitStack() as stack:
            self._listed = _Lines(stack, stack.enter_context(replacing(self.images)), "[]")
            self._found = _Lines(
                stack, stack.enter_context(replacing(self.predictions)), self._brackets
            )
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def image(self, file_name: str, group: str, size: tuple[int, int]) -> int:
        """List the next image, of (height, width) px; its id.

        DataError for a name that was there before.
        """
        if file_name in self._names:
            raise DataError(
                f"{self.predictions}: expected every image once, got {file_name} twice; make the "
                "ids unique"
            )
        self._names.add(file_name)
        number, height, width = len(self._names), int(size[0]), int(size[1])
        entry: ImageEntry = {
            "id": number,
            "file_name": file_name,
            "group": group,
            "height": height,
            "width": width,
        }
        self._listed.extend([json.dumps(entry, separators=(",", ":"))])
        return number

    def add(self, entries: Iterable[str]) -> None:
        """Append entries, JSON on one line each, to the predictions."""
        self._found.extend(entries)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._found.close()
            self._listed.close()
            self.images.unlink(missing_ok=True)


class _Lines:
    """A JSON list or object that grows on disk, one entry per line."""

    def __init__(self, stack: ExitStack, path: Path, brackets: str) -> None:
        self._file: TextIO = stack.enter_context(path.open("w", encoding="ascii", newline="\n"))
        self._end = brackets[1]
        self._before = self._start = f"{brackets[0]}\n"

    def extend(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._file.write(self._before + line)
            self._before = ",\n"

    def close(self) -> None:
        self._file.write((self._start if self._before == self._start else "\n") + f"{self._end}\n")
        self._file.close()


def read_images(path: Path) -> list[ImageEntry]:
    """The predicted images, in the file's order.

    Raises:
        DataError: a missing, cut-off or damaged list.
    """
    listed: list[ImageEntry] = []
    names: set[str] = set()
    for number, entry in enumerate(load_entries(path, "the list of predicted images"), start=1):
        name, group = entry.get("file_name"), entry.get("group")
        height: Any = entry.get("height")
        width: Any = entry.get("width")
        if not is_number(entry.get("id"), number, number, whole=True):
            raise entry_error(path, number, f"id {number} (from 1, in order)", entry.get("id"))
        if not isinstance(name, str) or not isinstance(group, str) or name in names:
            raise entry_error(path, number, "a file_name of its own and a group", (name, group))
        if not (
            is_number(height, 1, MOST_PIXELS, whole=True)
            and is_number(width, 1, MOST_PIXELS // height, whole=True)
        ):
            raise entry_error(path, number, "a height and a width in pixels", (height, width))
        names.add(name)
        listed.append(
            {"id": number, "file_name": name, "group": group, "height": height, "width": width}
        )
    return listed


def load_entries(path: Path, expected: str) -> list[dict[str, Any]]:
    """Read a JSON list of objects; `expected` names it in the error.

    Raises:
        DataError: the file is missing, damaged or something else.
    """
    value = read_json(path, expected, "predict again")
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise DataError(f"{path}: expected {expected}, got other JSON; predict again")
    return value


def entry_error(path: Path, number: int, wanted: str, found: object) -> DataError:
    """The error that names an entry by its place, from 1."""
    return DataError(
        f"{path}: entry {number}: expected {wanted}, got {str(found)[:80]!r}; correct the file"
    )
