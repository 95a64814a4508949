"""Measure what models cost to use, one after the other, each in a process of its own.

    python scripts/bench_models.py RESULT… [--device auto] [--threads N] [--results DIR]
                                   [--runs DIR] [--save] [--json FILE]

Multiply–adds, time per image (p50, p95), frames per second one by one and at the best batch size,
peak memory. A RESULT is a result's file or its run id; its run (weights, data) must be there. The
images are the run's own test images. --save writes the cost into the results, for the leaderboard.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from unittest.mock import patch

from scripts.record import warn_if_busy
from usbench.cli.options import Options, make_parser, run_verb, write_json
from usbench.errors import ConfigError, RunError
from usbench.evaluate.stored_run import find_run_config
from usbench.io.console import say, table, track
from usbench.io.cores import count_cores
from usbench.results.result import Cost, Result, from_json
from usbench.results.store import load_result, resolve_result, save_result
from usbench.runner import launch, machine

IMAGES = 16  # of the test split, taken in turns


def bench(options: Options) -> None:
    """Measure every result in a child, show, save."""
    paths = [resolve_result(name, options.results) for name in options.result]
    warn_if_busy()
    measured = []
    for path in track(paths, "measuring"):
        result = load_result(path)
        if not result.is_done or result.origin != "run" or result.trained_on:
            raise ConfigError(f"{path}: expected a finished run of a model that was trained here")
        measured.append((result, measure_in_child(result, options)))
    show(measured)
    content = []
    for result, cost in measured:
        content.append({"model": result.model, "run_id": result.run_id, **asdict(cost)})
        if options.save:
            save_result(options.results, replace(result, cost=cost))
    write_json(options.json, content)


def measure_in_child(result: Result, options: Options) -> Cost:
    """What a result's model costs, measured by a process that does nothing else."""
    threads = dict.fromkeys(launch.THREADS, str(options.threads))
    spawn = multiprocessing.get_context("spawn")
    try:
        with patch.dict(os.environ, threads), ProcessPoolExecutor(1, spawn) as child:
            return child.submit(measure, result, options).result()
    except BrokenProcessPool as error:
        raise RunError(f"{result.run_id}: its model couldn't be measured: {error}") from error


def measure(result: Result, options: Options) -> Cost:
    """The child's side."""
    from usbench.models import cost  # imports torch, as the next one does
    from usbench.runner.experiment import restore_model

    device = machine.resolve_device(options.device)
    kind = device.split(":")[0]
    config = find_run_config(result, options.runs)
    precision = config.precision if result.device == kind else "fp32"
    config = replace(config, device=device, threads=options.threads, precision=precision)
    images = list(itertools.islice(config.open_dataset().samples("test").images(), IMAGES))
    about = machine.describe(device)
    content = {
        **cost.measure(restore_model(config), device, images),
        "device": kind,
        "on": about.gpu or about.processor,
        "threads": options.threads,
        "precision": config.precision,
        "image": list(images[0].shape),
    }
    return from_json(Cost, content)


def show(measured: Sequence[tuple[Result, Cost]]) -> None:
    """Print a table, the fastest first."""
    lines = []
    for result, cost in sorted(measured, key=lambda pair: pair[1].latency_ms.p50):
        lines.append(
            [
                f"{result.model} {result.recipe}",
                f"{cost.macs / 1e9:.1f}",
                f"{cost.latency_ms.p50:.1f}",
                f"{cost.latency_ms.p95:.1f}",
                f"{cost.fps:.1f}",
                f"{cost.fps_best:.1f}",
                str(cost.best_batch),
                f"{cost.peak_memory_mib:.0f}",
            ]
        )
    _, cost = measured[0]
    header = ["model", "G mul–adds", "ms p50", "p95", "fps", "best", "batch", "MiB"]
    table(f"cost per image on {cost.on}, {cost.threads} threads", header, lines)
    say(
        "from a native image to its prediction: resizing, network and suppression; MiB: the whole "
        "process, on a GPU torch's"
    )


def main(argv: list[str] | None = None) -> int:
    """The command; its exit code: 0, 1 for a missing run, 2 for a result that can't be measured."""
    parser = make_parser(__doc__, "write everything as JSON too", folders=("results", "runs"))
    add = parser.add_argument
    add("result", nargs="+", metavar="RESULT", help="a result's file, or its run id")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:1; default: %(default)s")
    add("--threads", type=int, default=count_cores(), metavar="N", help="default: all cores")
    add("--save", action="store_true", help="write the cost into the results")
    return run_verb(bench, parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
