"""Put a release in place: verify its archives, unpack them safely, or fetch them where that is open to anyone.

    python scripts/prepare.py dataset=spinal                                what there is, its licence, how to get it
    python scripts/prepare.py dataset=spinal archive=FILE [archive=FILE …] [data=DIR]    verify and unpack
    python scripts/prepare.py dataset=spinal download=true [data=DIR]       fetch, verify and unpack

Nothing is fetched without download=true, and nothing that is there is overwritten. A killed command
goes on where it was. The release lands in <data>/<dataset> (or dataset.root=DIR); data is ./data
unless it or USBENCH_DATA is set.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from usbench.cli.overrides import compose_for_script, exit_code
from usbench.datasets import archives, source
from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError, RunError, UsbenchError
from usbench.io.console import say
from usbench.io.download import RemoteFile, fetch, sha256_with_bar, verify
from usbench.io.files import replacing


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="dataset=, archive=, download=, data= …"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write what was found and done as JSON too"
    )
    parser.add_argument(
        "--config-dir", type=Path, metavar="DIR", help="a folder of configuration of your own"
    )
    return parser.parse_intermixed_args(argv)


def divided(words: Sequence[str]) -> tuple[list[Path], bool, list[str]]:
    """(archives, download?, what is left for Hydra); ConfigError for a download= that is neither true nor false."""
    files = [
        Path(word.partition("=")[2]).expanduser() for word in words if word.startswith("archive=")
    ]
    wanted = [word.partition("=")[2] for word in words if word.startswith("download=")]
    if any(word not in ("true", "false") for word in wanted):
        raise ConfigError(f"download={wanted[-1]}: true or false was wanted")
    left = [word for word in words if not word.startswith(("archive=", "download="))]
    return files, "true" in wanted, left


def root_of(config: Mapping[str, Any]) -> Path:
    """Where the release belongs."""
    dataset = config["dataset"]
    if dataset["root"]:
        return Path(str(dataset["root"])).absolute()
    return (
        Path(str(config["data"] or os.environ.get("USBENCH_DATA") or "data")) / str(dataset["name"])
    ).absolute()


def tell(dataset: Mapping[str, Any], listed: Sequence[RemoteFile], root: Path) -> None:
    """What the release is, under which licence, and how it is had."""
    say(f"{dataset['title']}")
    say(f"licence: {dataset['licence']}")
    say(f"please cite: {dataset['citation']}")
    say(f"access: {dataset['access']}")
    for archive in listed:
        size = f", {archive.size:,} bytes" if archive.size else ""
        say(
            f"  {archive.name}: {archive.holds}{size}; {archive.page or archive.url or 'on request'}"
        )
    say(f"place: {root}")


def views(dataset: Mapping[str, Any], root: Path) -> dict[str, dict[str, int] | str]:
    """Images per split of every view whose files are there, or why it can't be read."""
    found: dict[str, dict[str, int] | str] = {}
    for task in dataset["views"]:
        try:
            layout = source.build_layout(DatasetConfig.from_mapping(dataset), task, phantom=False)
            counted = Counter(str(record.split or "all") for record in layout.index(root))
            found[task] = dict(sorted(counted.items()))
        except UsbenchError as error:
            found[task] = str(error)
    return found


def prepare(options: argparse.Namespace) -> int:
    """Tell, fetch, verify, unpack, look; the exit code."""
    files, download, overrides = divided(options.overrides)
    config = compose_for_script(overrides, options.config_dir, "prepare")
    dataset, root = config["dataset"], root_of(config)
    if not dataset["released"]:
        raise ConfigError(
            f"dataset={dataset['name']}: it has no release, usbench draws it when it is needed"
        )
    listed = archives.list_archives(dataset)
    tell(dataset, listed, root)
    if download:
        closed = [archive for archive in listed if not archive.url]
        if closed or not listed:
            raise RunError(
                f"download=true: {dataset['name']} is not open to anyone; {dataset['access']}"
            )
        files += [fetch(archive, root.parent / f"{root.name}-archives") for archive in listed]
    done = []
    for path in files:
        archive = archives.match_archive(path, listed)
        checked = (
            verify(path, archive)
            if archive
            else [f"sha256 {sha256_with_bar(path)}, not known to usbench"]
        )
        say(f"{path.name}: verified ({', '.join(checked)})")
        tops = archives.unpack(path, root)
        say(f"{path.name}: unpacked to {', '.join(map(str, tops))}")
        done.append(
            {"archive": path.name, "checked": checked, "unpacked": [top.name for top in tops]}
        )
    found = views(dataset, root) if root.is_dir() else {}
    for task, counts in found.items():
        say(
            f"{task}: {counts if isinstance(counts, str) else ', '.join(f'{n} {s}' for s, n in counts.items())}"
        )
    if done:
        say(f"look closer: python scripts/check.py dataset={dataset['name']}")
    if options.json:
        facts = {"dataset": dataset["name"], "root": str(root), "archives": done, "views": found}
        with replacing(options.json) as part:
            part.write_text(json.dumps(facts, indent=1) + "\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0, 1 for an archive, a host or a disk that isn't as wanted, 2 for a wrong configuration."""
    options = arguments(argv)
    return exit_code(lambda: prepare(options))


if __name__ == "__main__":
    sys.exit(main())
