"""Rules that need changed files: on a copy, a tree of its own with links to the release's files.

What is replaced in the copy leaves the release alone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from usbench.datasets.check.findings import Finding, finding_of_failure
from usbench.datasets.check.record_rules import check_same_records
from usbench.datasets.dataset import Dataset, file_fingerprint, files_of
from usbench.types import SPLITS, Layout, Record

CHANGED = 4  # files in which a byte is changed
NO_IMAGE = b"no image"


def check_lazy(layout: Layout, records: Sequence[Record], root: Path) -> list[Finding]:
    """An error where `index` needs pixels: it is asked in a copy whose images are none.

    What a file's header may say, the size of a pixel, may be missing there.

    Args:
        layout: has indexed nothing yet.
        records: as another one of the same settings lists them; their paths are in order.
        root: of the release.
    """
    with copy_tree(root) as copy:
        for path in dict.fromkeys(record.image for record in records):
            replace_file(copy, path, NO_IMAGE)
        try:
            listed = layout.index(copy)
        except Exception as error:  # noqa: BLE001  (a user's layout may raise anything)
            found = [finding_of_failure("lazy", error, copy)]
        else:
            before, after = (
                [replace(record, mm_per_px=None) for record in part] for part in (records, listed)
            )
            found = list(check_same_records(before, after))
    where = "index, where no image can be decoded: "
    return [Finding("error", "lazy", where + item.text) for item in found]


def check_fingerprint(dataset: Dataset) -> list[Finding]:
    """Errors where the fingerprint isn't that of the files, wherever they lie.

    Args:
        dataset: few images are enough, as their files are hashed several times.
    """
    with copy_tree(dataset.root) as copy, tempfile.TemporaryDirectory(prefix="usbench-") as caches:
        try:
            return list(_compare_fingerprints(dataset, copy, Path(caches)))
        except Exception as error:  # noqa: BLE001
            return [finding_of_failure("fingerprint", error, dataset.root)]


def _compare_fingerprints(dataset: Dataset, copy: Path, caches: Path) -> Iterator[Finding]:
    """Errors where a copy has another fingerprint, or a changed byte leaves it as it was."""
    first = file_fingerprint(dataset, caches / "first.json")
    moved = replace(dataset, root=copy)
    if file_fingerprint(moved, caches / "moved.json") != first:
        yield Finding("error", "fingerprint", "expected that of the files, a copy has another")
        return
    names = list(dict.fromkeys(name for _, name in files_of(dataset)))
    for n, name in enumerate([*names[-CHANGED // 2 :], *names[: CHANGED // 2]]):
        content = (copy / name).read_bytes()
        replace_file(copy, name, content + b"\n")
        if file_fingerprint(moved, caches / f"{n}.json") == first:
            yield Finding("error", "fingerprint", f"{name}: a changed byte doesn't change it")
        replace_file(copy, name, content)


def keep_few(dataset: Dataset, per_split: int) -> Dataset:
    """The dataset with the first images of each split only."""
    few = {split: dataset.records[split][:per_split] for split in SPLITS}
    return replace(dataset, records=few)


# ---- the copy


@contextmanager
def copy_tree(root: Path) -> Iterator[Path]:
    """A folder of the root's name, with real folders and links to its files; gone afterwards.

    Where links aren't allowed, as on some Windows machines, files are copied.
    """
    with tempfile.TemporaryDirectory(prefix="usbench-") as folder:
        copy = Path(folder, root.name)
        for place, subfolders, names in os.walk(root, followlinks=True):
            real = Path(os.path.realpath(place))
            # A link to a folder above itself would never end.
            subfolders[:] = [
                name
                for name in subfolders
                if not real.is_relative_to(os.path.realpath(Path(place, name)))
            ]
            there = copy / Path(place).relative_to(root)
            there.mkdir(parents=True)
            for name in names:
                link_file(Path(place, name), there / name)
        yield copy


def link_file(path: Path, link: Path) -> None:
    """Link to a file, or copy it where links aren't allowed."""
    try:
        link.symlink_to(path.absolute())
    except OSError:
        shutil.copyfile(path, link)


def replace_file(copy: Path, name: str, content: bytes) -> None:
    """Give a file of a copy another content; the file that it linked to stays as it is.

    Raises:
        ValueError: the name leads out of the copy.
    """
    path = copy / name
    if not path.parent.resolve().is_relative_to(copy.resolve()):
        raise ValueError(f"expected a path below the root, got {name}")
    path.unlink()
    path.write_bytes(content)
