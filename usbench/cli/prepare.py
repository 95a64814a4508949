"""Put a release in place: verify its archives and unpack them, or fetch them where that is open.

    usbench prepare dataset=spinal
        shows what there is, its licence and how to get it
    usbench prepare dataset=spinal --archive FILE [FILE …] [data=DIR]
        verifies and unpacks
    usbench prepare dataset=spinal --download [data=DIR]
        fetches, verifies and unpacks

Nothing is fetched without --download, and existing files are never overwritten. An interrupted
command resumes. The release lands in <data>/<dataset> (or dataset.root=DIR); data is ./data unless
it or USBENCH_DATA is set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from usbench.cli.options import (
    Options,
    add_overrides,
    compose_for_verb,
    make_parser,
    run_verb,
    write_json,
)
from usbench.datasets import archives, source
from usbench.datasets.config import DatasetConfig
from usbench.datasets.dataset import index_release
from usbench.errors import ConfigError, RunError, UsbenchError
from usbench.io.console import say
from usbench.io.download import RemoteFile, fetch, sha256_with_bar, verify


def describe_release(dataset: DatasetConfig, listed: Sequence[RemoteFile], root: Path) -> None:
    """Say what the release is, under which licence, and how to get it."""
    say(dataset.title or dataset.name)
    facts = {
        "licence": dataset.licence,
        "please cite": dataset.citation,
        "access": dataset.access,
        "not verified": "; ".join(dataset.unverified),
    }
    for name, text in facts.items():
        if text:
            say(f"{name}: {text}")
    for archive in listed:
        size = f", {archive.size:,} bytes" if archive.size else ""
        origin = archive.page or archive.url or "on request"
        say(f"  {archive.name}: {archive.holds}{size}; {origin}")
    say(f"place: {root}")


def unpack_archive(path: Path, listed: Sequence[RemoteFile], root: Path) -> dict[str, object]:
    """Verify an archive and unpack it below root; what was done, for the JSON."""
    archive = archives.match_archive(path, listed)
    if archive is None:
        checks = [f"sha256 {sha256_with_bar(path)}, not known to usbench"]
    else:
        checks = verify(path, archive)
    say(f"{path.name}: verified ({', '.join(checks)})")
    tops = archives.unpack(path, root)
    say(f"{path.name}: unpacked to {', '.join(map(str, tops))}")
    return {"archive": path.name, "checked": checks, "unpacked": [top.name for top in tops]}


def count_views(dataset: DatasetConfig, root: Path) -> dict[str, dict[str, int] | str]:
    """Show and return the images per split of every view, or why a view can't be read."""
    views: dict[str, dict[str, int] | str] = {}
    for task in dataset.views:
        try:
            layout = source.build_layout(dataset, task, phantom=False)
            records = index_release(layout, root)
        except UsbenchError as error:
            views[task] = str(error)
            say(f"{task}: {error}")
        else:
            counts = Counter(str(record.split or "all") for record in records)
            views[task] = dict(sorted(counts.items()))
            say(f"{task}: {', '.join(f'{counts[split]} {split}' for split in sorted(counts))}")
    return views


def prepare(options: Options) -> None:
    """Describe, fetch, verify, unpack and count."""
    paths = list(options.archive)
    config = compose_for_verb(options.overrides, options.config_dir, "prepare")
    dataset = DatasetConfig.from_mapping(config["dataset"])
    if not dataset.released:
        raise ConfigError(
            f"dataset={dataset.name}: it has no release, usbench draws it when it is needed"
        )
    root = source.release_folder(dataset, config["data"])
    listed = archives.list_archives(dataset)
    describe_release(dataset, listed, root)
    if options.download:
        if not listed or not all(archive.url for archive in listed):
            raise RunError(f"--download: {dataset.name} is not open to anyone; {dataset.access}")
        paths += [fetch(archive, root.with_name(f"{root.name}-archives")) for archive in listed]
    unpacked = [unpack_archive(path, listed, root) for path in paths]
    views = count_views(dataset, root) if root.is_dir() else {}
    if unpacked:
        say(f"look closer: usbench check dataset={dataset.name}")
    names = {"dataset": dataset.name, "root": str(root)}
    write_json(options.json, {**names, "archives": unpacked, "views": views})


def main(argv: list[str] | None = None) -> int:
    """Its exit code: 0, 1 for an archive, a host or a disk with an error, 2 for a wrong command."""
    parser = make_parser(__doc__, "write what was found and done as JSON too", "prepare")
    add = parser.add_argument
    add("--archive", type=Path, nargs="+", default=[], metavar="FILE", help="verify and unpack")
    add("--download", action="store_true", help="fetch the archives first, where that is open")
    add_overrides(parser, "dataset=, data=")
    return run_verb(prepare, parser.parse_intermixed_args(argv))
