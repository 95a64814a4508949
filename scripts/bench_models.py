"""Measure what models cost to use, one after the other, each in a process of its own.

    python scripts/bench_models.py RESULT… [--device auto] [--threads N] [--results DIR]
                                   [--runs DIR] [--save] [--json FILE]

Multiply–adds, time per image (p50, p95), frames per second one by one and at the best batch size,
peak memory. A RESULT is a result's file or its run id; its run (weights, data) must be there. The
images are the run's own test images. --save writes the cost into the results, for the leaderboard.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import psutil

from usbench.cli.script import Options, make_parser, run_script, write_json
from usbench.errors import ConfigError, RunError
from usbench.evaluate.rescore import find_run_config
from usbench.io.console import say, table, track, warn
from usbench.results.result import Cost, Result, cost_from_json
from usbench.results.store import load_result, resolve_result, save_result
from usbench.runner import launch, machine

ROOT = Path(__file__).resolve().parent.parent
BUSY = 0.5  # load over the last minute
IMAGES = 16  # of the test split, taken in turns


def bench(options: Options) -> None:
    """Measure every result in a child, show, save."""
    paths = [resolve_result(word, options.results) for word in options.result]
    load = psutil.getloadavg()[0]
    if load > BUSY:
        warn(
            f"this machine is busy (load {load:.1f}): costs hold for an idle machine only, "
            "measure again later"
        )
    measured = []
    for path in track(paths, "measuring"):
        result = load_result(path)
        if not result.is_done or result.origin != "run" or result.trained_on:
            raise ConfigError(f"{path}: expected a finished run of a model that was trained here")
        measured.append((result, measure_in_child(path, options)))
    show(measured)
    content = []
    for result, cost in measured:
        content.append({"model": result.model, "run_id": result.run_id, **asdict(cost)})
        if options.save:
            save_result(options.results, replace(result, cost=cost))
    write_json(options.json, content)


def measure_in_child(path: Path, options: Options) -> Cost:
    """The cost of one result's model, measured by a process that does nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "cost.json"
        folders = ["--results", options.results, "--runs", options.runs]
        command = [sys.executable, __file__, path, "--child", out, "--device", options.device]
        threads = str(options.threads)
        environment = {**os.environ, **dict.fromkeys(launch.THREADS, threads)}
        done = subprocess.run([*command, "--threads", threads, *folders], env=environment)
        if done.returncode or not out.is_file():
            raise RunError(f"{path}: its model couldn't be measured (see above)")
        return cost_from_json(json.loads(out.read_text()))


def measure(options: Options) -> None:
    """The child: measure one result's model and write the cost."""
    from usbench.models import cost  # imports torch, as the next one does
    from usbench.runner.experiment import restore_model

    result = load_result(Path(options.result[0]))
    device = machine.resolve_device(options.device)
    kind = device.split(":")[0]
    config = find_run_config(result, options.runs)
    config = replace(config, device=device, threads=options.threads)
    if result.device != kind:
        config = replace(config, precision="fp32")
    model = restore_model(config)
    test = config.open_dataset().samples("test")
    images = [image for image, _ in zip(test.images(), range(IMAGES), strict=False)]
    about = machine.describe(device)
    content = {
        **cost.measure(model, device, images),
        "device": kind,
        "on": about.gpu or about.processor,
        "threads": options.threads,
        "precision": config.precision,
        "image": list(images[0].shape),
    }
    options.child.write_text(json.dumps(content))


def show(measured: Sequence[tuple[Result, Cost]]) -> None:
    """Print a table, the fastest first."""
    lines = []
    for result, cost in sorted(measured, key=lambda pair: pair[1].latency_ms.p50):
        line = [f"{result.model} {result.recipe}", f"{cost.macs / 1e9:.1f}"]
        line += [f"{cost.latency_ms.p50:.1f}", f"{cost.latency_ms.p95:.1f}", f"{cost.fps:.1f}"]
        line += [f"{cost.fps_best:.1f}", str(cost.best_batch), f"{cost.peak_memory_mib:.0f}"]
        lines.append(line)
    _, cost = measured[0]
    header = ["model", "G mul–adds", "ms p50", "p95", "fps", "best", "batch", "MiB"]
    table(f"cost per image on {cost.on}, {cost.threads} threads", header, lines)
    say(
        "from a native image to its prediction: resizing, network and suppression; MiB: the whole "
        "process, on a GPU torch's"
    )


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for a missing run, 2 for a result that can't be measured."""
    parser = make_parser(
        __doc__, "write everything as JSON too", results=ROOT / "results", runs=ROOT / "runs"
    )
    add = parser.add_argument
    add("result", nargs="+", metavar="RESULT", help="a result's file, or its run id")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:1; default: %(default)s")
    add("--threads", type=int, default=machine.cores(), metavar="N", help="default: all cores")
    add("--save", action="store_true", help="write the cost into the results")
    add("--child", type=Path, metavar="FILE", help=argparse.SUPPRESS)  # measure one, in a process
    options = parser.parse_args(argv)
    return run_script(measure if options.child else bench, options)


if __name__ == "__main__":
    raise SystemExit(main())
