"""What models cost to use, measured in one run, one after the other, each in a process of its own.

Multiply–adds, time per image (p50, p95), frames per second one by one and at the best batch size, peak memory.

    python scripts/bench_models.py RESULT [RESULT …] [--device auto] [--threads N] [--results DIR] [--runs DIR]
                                   [--save] [--json FILE]

A RESULT is a record's file or its key; its run (weights, data) must be there. The images are the run's own test
images. --save writes the figures into the records (key `cost`), where the board finds them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from usbench.cli.overrides import exit_code
from usbench.errors import ConfigError, RunError
from usbench.io.console import say, table, track, warn
from usbench.io.files import replacing
from usbench.results import store as results
from usbench.runner import config as cell
from usbench.runner import launch, machine

ROOT = Path(__file__).resolve().parent.parent
BUSY = 0.5  # load over the last minute
IMAGES = 16  # of the test split, taken in turns


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", nargs="+", metavar="RESULT", help="a record's file, or its key")
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or cuda:1; default: %(default)s"
    )
    parser.add_argument(
        "--threads", type=int, default=machine.cores(), metavar="N", help="default: all cores"
    )
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--save", action="store_true", help="write the figures into the records")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON too")
    parser.add_argument(
        "--one", type=Path, metavar="FILE", help=argparse.SUPPRESS
    )  # the child's way
    return parser.parse_args(argv)


def bench(options: argparse.Namespace) -> int:
    """Measure every result in a child, show, save; the exit code."""
    paths = [results.named(word, options.results) for word in options.result]
    busy = psutil.getloadavg()[0]
    if busy > BUSY:
        warn(
            f"this machine is busy (load {busy:.1f}): the figures hold for an idle one only, measure again later"
        )
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for path in track(paths, "measuring", len(paths)):
        record = results.load(path)
        if record["status"] != "done" or record["origin"] != "run" or record["trained_on"]:
            raise ConfigError(f"{path}: a finished run of a model that was trained here was wanted")
        found.append((record, in_child(path, options)))
    show(found)
    if options.save:
        for path, (record, cost) in zip(paths, found, strict=True):
            results.save(options.results, {**record, "cost": cost}, cases_of(path))
    if options.json:
        facts = [{"model": r["model"], "run_id": r["run_id"], **cost} for r, cost in found]
        with replacing(options.json) as part:
            part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


def cases_of(path: Path) -> list[dict[str, Any]]:
    """The record's case table, as it is saved again."""
    return [
        {name: value or None for name, value in row.items()} for row in results.load_cases(path)
    ]


def in_child(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one result, from a process that does nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "cost.json"
        words = [
            str(path),
            "--one",
            str(out),
            "--device",
            options.device,
            "--threads",
            str(options.threads),
        ]
        words += ["--results", str(options.results), "--runs", str(options.runs)]
        environment = {**os.environ, **dict.fromkeys(launch.THREADS, str(options.threads))}
        done = subprocess.run([sys.executable, __file__, *words], env=environment)
        if done.returncode or not out.is_file():
            raise RunError(f"{path}: its model couldn't be measured (see above)")
        facts: dict[str, Any] = json.loads(out.read_text())
        return facts


def one(options: argparse.Namespace) -> int:
    """The child: measure one result's model, alone, and write the figures."""
    from usbench.datasets import source
    from usbench.models import cost
    from usbench.runner import experiment as run

    record = results.load(Path(options.result[0]))
    folder = options.runs / record["run_id"]
    if not (folder / "cell.yaml").is_file():
        raise RunError(
            f"{folder}: the run of this result was wanted here, found none; name its folder with --runs"
        )
    device = machine.resolve_device(options.device)
    stored = {
        **cell.read(folder / "cell.yaml"),
        "device": device,
        "threads": options.threads,
        "runs": str(options.runs),
    }
    stored["precision"] = (
        stored["precision"] if record["device"] == device.split(":")[0] else "fp32"
    )
    model = run.restored(stored, folder)
    test = source.open_dataset(stored).samples("test")
    images = [image for image, _ in zip(test.images(), range(IMAGES), strict=False)]
    figures = cost.measure(model, device, images)
    about = machine.describe(device)
    told = {
        "device": device.split(":")[0],
        "on": about.get("gpu") or about.get("processor"),
        "threads": options.threads,
        "precision": stored["precision"],
        "image": list(images[0].shape),
    }
    options.one.write_text(json.dumps({**figures, **told}))
    return 0


def show(found: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """A table, quickest first."""
    lines = []
    for record, cost in sorted(found, key=lambda pair: float(pair[1]["latency_ms"]["p50"])):
        took = cost["latency_ms"]
        speeds = [
            f"{took['p50']:.1f}",
            f"{took['p95']:.1f}",
            f"{cost['fps']:.1f}",
            f"{cost['fps_best']:.1f}",
        ]
        memory = [str(cost["best_batch"]), f"{cost['peak_memory_mib']:.0f}"]
        lines.append(
            [f"{record['model']} {record['recipe']}", f"{cost['macs'] / 1e9:.1f}", *speeds, *memory]
        )
    _, cost = found[0]
    header = ["model", "G mul–adds", "ms p50", "p95", "fps", "best", "batch", "MiB"]
    table(f"cost per image on {cost['on']}, {cost['threads']} threads", header, lines)
    say(
        "from a native image to its prediction: resizing, net and suppression; MiB: the whole process, on a GPU torch's"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for a run that isn't there, 2 for a result that can't be measured."""
    options = arguments(argv)
    return exit_code(lambda: one(options) if options.one else bench(options))


if __name__ == "__main__":
    sys.exit(main())
