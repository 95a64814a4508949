"""The result files that words of a command line name: files, run ids, folders and globs."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from usbench.errors import DataError
from usbench.results.gallery import file as gallery
from usbench.results.store import CASES, PHANTOM, PREDICTIONS, resolve_result

# What lies beside a result and begins like it; a shell's `unet-*` names these files too.
BESIDE = (CASES, gallery.SUFFIX, PREDICTIONS, ".html")


def select_results(words: Iterable[str], folder: Path) -> list[Path]:
    """The result files, in the order of the words and each once; of a folder or glob by name.

    Args:
        words: a result's file, name or run id; a folder of results, such as hc18/segment; a glob.
            Folders and globs start in the working directory, else in `folder`.
        folder: of results.

    Raises:
        DataError: a word names no result.
    """
    paths: dict[Path, Path] = {}
    for word in words:
        for path in paths_of(word, folder):
            paths.setdefault(path.resolve(), path)
    return list(paths.values())


def paths_of(word: str, folder: Path) -> list[Path]:
    """The result files that one word names."""
    path = Path(word)
    if path.is_file():
        return [result_beside(path) or path]
    places = [path, folder / word, folder / PHANTOM / word]
    if glob.has_magic(word):
        return first_matches(word, places)
    if word and any(map(Path.is_dir, places)):
        return results_in(word, places)
    return [resolve_result(word, folder)]


def result_beside(path: Path) -> Path | None:
    """The result that a file belongs to: itself, or what a file such as its case table names."""
    if path.suffix == ".json":
        return path
    for ending in BESIDE:
        result = path.with_name(f"{path.name.removesuffix(ending)}.json")
        if path.name.endswith(ending) and result.is_file():
            return result
    return None


def first_matches(word: str, places: Iterable[Path]) -> list[Path]:
    """The results that a glob names in the first place where it names any."""
    for place in places:
        top = Path(place.anchor)
        matches = list(results_among(sorted(top.glob(str(place.relative_to(top))))))
        if matches:
            return matches
    raise DataError(f"{word}: expected a glob of result files, got one that matches none")


def results_among(paths: Iterable[Path]) -> Iterator[Path]:
    """The results that files and folders stand for."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("*.json"))
        elif result := result_beside(path):
            yield result


def results_in(word: str, places: Iterable[Path]) -> list[Path]:
    """The results in a folder. Raises DataError where there are none."""
    folders = list(filter(Path.is_dir, places))
    for folder in folders:
        if paths := sorted(folder.glob("*.json")):
            return paths
    inner = sorted({path.parent.name for folder in folders for path in folder.glob("*/*.json")})
    advice = f"; choose one of its folders: {', '.join(inner)}" if inner else ""
    raise DataError(f"{word}: expected a folder of results, got none directly in it{advice}")
