"""Put a release in place: verify its archives and unpack them, or fetch them where that is open.

    python scripts/prepare.py dataset=spinal
        shows what there is, its licence and how to get it
    python scripts/prepare.py dataset=spinal archive=FILE [archive=FILE …] [data=DIR]
        verifies and unpacks
    python scripts/prepare.py dataset=spinal download=true [data=DIR]
        fetches, verifies and unpacks

Nothing is fetched without download=true, and existing files are never overwritten. An interrupted
command resumes. The release lands in <data>/<dataset> (or dataset.root=DIR); data is ./data unless
it or USBENCH_DATA is set.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from usbench.cli.overrides import compose_for_script, exit_code
from usbench.datasets import archives, source
from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError, RunError, UsbenchError
from usbench.io.console import say
from usbench.io.download import RemoteFile, fetch, sha256_with_bar, verify
from usbench.io.files import replacing


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("overrides", nargs="*", metavar="key=value", help="dataset=, archive=, download=, data= …")
    add("--json", type=Path, metavar="FILE", help="write what was found and done as JSON too")
    add("--config-dir", type=Path, metavar="DIR", help="a folder of configuration of your own")
    return parser.parse_intermixed_args(argv)


def split_overrides(overrides: Sequence[str]) -> tuple[list[Path], bool, list[str]]:
    """Separate this script's overrides: (archives, whether to download, what is left for Hydra).

    Raises:
        ConfigError: a download= that is neither true nor false.
    """
    paths: list[Path] = []
    download = False
    rest: list[str] = []
    for override in overrides:
        key, _, value = override.partition("=")
        if key == "archive":
            paths.append(Path(value).expanduser())
        elif key == "download":
            if value not in ("true", "false"):
                raise ConfigError(f"download={value}: expected true or false")
            download |= value == "true"
        else:
            rest.append(override)
    return paths, download, rest


def describe_release(dataset: DatasetConfig, listed: Sequence[RemoteFile], root: Path) -> None:
    """Say what the release is, under which licence, and how to get it."""
    say(dataset.title)
    say(f"licence: {dataset.licence}")
    say(f"please cite: {dataset.citation}")
    say(f"access: {dataset.access}")
    for archive in listed:
        size = f", {archive.size:,} bytes" if archive.size else ""
        origin = archive.page or archive.url or "on request"
        say(f"  {archive.name}: {archive.holds}{size}; {origin}")
    say(f"place: {root}")


def fetch_archives(
    dataset: DatasetConfig, listed: Sequence[RemoteFile], folder: Path
) -> list[Path]:
    """Fetch every archive into a folder. Raises RunError where one isn't open to anyone."""
    if not listed or not all(archive.url for archive in listed):
        raise RunError(f"download=true: {dataset.name} is not open to anyone; {dataset.access}")
    return [fetch(archive, folder) for archive in listed]


def unpack_archive(path: Path, listed: Sequence[RemoteFile], root: Path) -> dict[str, object]:
    """Verify an archive and unpack it below root; what was done, for the JSON."""
    archive = archives.match_archive(path, listed)
    if archive is not None:
        checks = verify(path, archive)
    else:
        checks = [f"sha256 {sha256_with_bar(path)}, not known to usbench"]
    say(f"{path.name}: verified ({', '.join(checks)})")
    tops = archives.unpack(path, root)
    say(f"{path.name}: unpacked to {', '.join(map(str, tops))}")
    return {"archive": path.name, "checked": checks, "unpacked": [top.name for top in tops]}


def count_views(dataset: DatasetConfig, root: Path) -> dict[str, dict[str, int] | str]:
    """Images per split of every view whose files are there, or why it can't be read."""
    views: dict[str, dict[str, int] | str] = {}
    for task in dataset.views:
        try:
            records = source.build_layout(dataset, task, phantom=False).index(root)
        except UsbenchError as error:
            views[task] = str(error)
        else:
            counts = Counter(str(record.split or "all") for record in records)
            views[task] = dict(sorted(counts.items()))
    return views


def show_views(views: dict[str, dict[str, int] | str]) -> None:
    """Show the images of each view, or why it can't be read."""
    for task, counts in views.items():
        if isinstance(counts, str):
            say(f"{task}: {counts}")
        else:
            say(f"{task}: {', '.join(f'{count} {split}' for split, count in counts.items())}")


def prepare(options: argparse.Namespace) -> int:
    """Describe, fetch, verify, unpack and count; the exit code."""
    paths, download, overrides = split_overrides(options.overrides)
    config = compose_for_script(overrides, options.config_dir, "prepare")
    dataset = DatasetConfig.from_mapping(config["dataset"])
    if not dataset.released:
        raise ConfigError(
            f"dataset={dataset.name}: it has no release, usbench draws it when it is needed"
        )
    root = source.release_folder(dataset, config["data"])
    listed = archives.list_archives(dataset)
    describe_release(dataset, listed, root)
    if download:
        paths += fetch_archives(dataset, listed, root.parent / f"{root.name}-archives")
    unpacked = [unpack_archive(path, listed, root) for path in paths]
    views = count_views(dataset, root) if root.is_dir() else {}
    show_views(views)
    if unpacked:
        say(f"look closer: python scripts/check.py dataset={dataset.name}")
    if options.json:
        facts = {"dataset": dataset.name, "root": str(root), "archives": unpacked, "views": views}
        with replacing(options.json) as part:
            part.write_text(json.dumps(facts, indent=1) + "\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0; 1 for an archive, a host or a disk with an error; 2 for a wrong configuration.
    """
    options = parse_arguments(argv)
    return exit_code(lambda: prepare(options))


if __name__ == "__main__":
    sys.exit(main())
