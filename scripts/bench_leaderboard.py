"""Seconds and memory of the leaderboard over thousands of synthetic results with case tables.

Tables of masks and of landmarks, each with so many models and seeds, are written below a temporary
folder, with the bytes of usbench.results.store.save_result. scripts/leaderboard.py then runs in
processes of its own: with no pair test and no result's page cached; with all pages cached but no
test; and with both, `--blocks` times (medians). The same again with larger case tables, because
the memory must not grow with them. Boxes are left out: swapping those of 50 seeds ten thousand
times takes hours, whatever the leaderboard does. Last the page is opened in Chromium, where there
is one: from the start of loading to its first table.

    python scripts/bench_leaderboard.py [--tables 20] [--models 10] [--seeds 50] [--cases 40 160]
                                        [--blocks 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from usbench.errors import RunError
from usbench.io.console import say, table, track, warn
from usbench.io.files import write_atomically
from usbench.leaderboard.page.screenshot import open_page
from usbench.leaderboard.pooling import score_landmarks
from usbench.metrics import segment_scorer
from usbench.metrics.scores import Figure, Figures, ProtocolScores
from usbench.results.build import with_groups
from usbench.results.result import Code, Data, Machine, Primary, Result
from usbench.results.store import Case, checked_path, encode_cell, files_of_result
from usbench.types import Task

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "leaderboard.py"
CLASSES = ("nerve", "vessel")
CASES_PER_GROUP = 2
LANDMARKS_EVERY = 4  # of so many tables one is of landmarks


# ---- synthetic results


def draw_masks(rng: np.random.Generator, case: str, group: str, skill: float) -> Iterator[Case]:
    """One image's rows: counts of pixels and outlines."""
    for label in CLASSES:
        size = int(rng.integers(2_000, 20_000))
        overlap = float(np.clip(rng.normal(skill, 0.1), 0.05, 0.95))
        hit = int(size * overlap)
        counts = {"tp": hit, "fp": int(size * rng.uniform(0, 0.3)), "fn": size - hit}
        outlines = {
            "nsd": overlap / 2,
            "hd_px": 90 * (1 - overlap),
            "hd95_px": 70 * (1 - overlap),
            "assd_px": 20 * (1 - overlap),
        }
        in_mm = dict.fromkeys(("nsd_mm", "hd_mm", "hd95_mm", "assd_mm"))
        diagonals = {"diagonal_px": 724.077344, "diagonal_mm": None}
        row = {"case": case, "group": group, "class": label}
        yield {**row, **counts, **outlines, **in_mm, **diagonals}


def draw_landmarks(rng: np.random.Generator, case: str, group: str, skill: float) -> Iterator[Case]:
    """One image's rows: radial errors."""
    for label in CLASSES:
        yield {
            "case": case,
            "group": group,
            "class": label,
            "kind": "point",
            "state": "seen",
            "error_px": float(rng.exponential(20 * (1 - skill))),
            "error_mm": None,
            "hd_px": None,
            "hd_mm": None,
            "diagonal_px": 724.077344,
            "score": float(rng.uniform(0.5, 1)),
        }


def draw_table(task: Task, n_cases: int, skill: float, *seed: int) -> list[Case]:
    """A case table."""
    rng = np.random.default_rng(seed)
    draw = draw_masks if task == "segment" else draw_landmarks
    rows: list[Case] = []
    for n in range(n_cases):
        rows += draw(rng, f"test/{n:05d}", f"p{n // CASES_PER_GROUP:04d}", skill)
    return rows


def score_table(task: Task, cases: list[Case], groups: int) -> tuple[ProtocolScores, ...]:
    """The table's own scores by two protocols, or by the one of landmarks."""
    rows = []
    for case in cases:
        rows.append({name: encode_cell(value, name) for name, value in case.items()})
    if task == "segment":
        protocols = segment_scorer.from_cases(rows, CLASSES, ("usbench", "pooled")).protocols
    else:
        protocols = score_landmarks(rows, CLASSES, {})
    return tuple(with_groups(scores, groups) for scores in protocols)


def shift_scores(scores: ProtocolScores, shift: float) -> ProtocolScores:
    """The scores moved a little: each seed has its own."""
    per_class = {label: shift_figures(part, shift) for label, part in scores.per_class.items()}
    return replace(scores, scores=shift_figures(scores.scores, shift), per_class=per_class)


def shift_figures(figures: Figures, shift: float) -> Figures:
    """All defined values and intervals moved."""
    return {name: shift_figure(figure, shift) for name, figure in figures.items()}


def shift_figure(figure: Figure, shift: float) -> Figure:
    """One figure moved."""
    if figure.value is None:
        return figure
    moved = replace(figure, value=figure.value + shift)
    if figure.low is None or figure.high is None:
        return moved
    return replace(moved, low=figure.low + shift, high=figure.high + shift)


def make_result(
    place: int, model: int, seed: int, task: Task, protocols: tuple[ProtocolScores, ...]
) -> Result:
    """A finished run, with all that a real one has. place: the number of its table."""
    shift = float(np.random.default_rng((place, model, seed)).normal(0, 0.01))
    series = hashlib.sha256(f"{place} {model}".encode()).hexdigest()[:12]
    name = f"model{model:02d}"
    moved = tuple(shift_scores(scores, shift) for scores in protocols)
    primary = "dice" if task == "segment" else "mre_px"
    value = moved[0].scores[primary].value
    return Result(
        dataset=f"table{place:02d}",
        task=task,
        model=name,
        run_id=hashlib.sha256(f"{series} {seed}".encode()).hexdigest()[:12],
        status="done",
        origin="run",
        data=Data(f"{place:064x}", {"train": 400, "val": 60, "test": 40}, phantom=False),
        code=Code("0.1.0", "0" * 40, dirty=False),
        machine=Machine(
            processor="a processor", packages={f"package-{n}": "1.2.3" for n in range(10)}
        ),
        config=make_config(place, name, task),
        recipe="standard",
        seed=seed,
        series=series,
        primary=Primary(primary, value, higher_is_better=task == "segment"),
        protocols=moved,
        device="cpu",
        precision="bf16",
        threads=2,
        parameters=12_512_755,
        seconds={"fit": 600.0 + seed, "predict": 5.0, "score": 1.0},
    )


def make_config(place: int, model: str, task: Task) -> dict[str, object]:
    """A resolved configuration of usual size."""
    layout = {
        "_target_": "usbench.datasets.layouts.index_masks.IndexMasks",
        "folders": {"train": ["a", "b"], "test": ["c"]},
    }
    near_duplicates = [[f"test/{n:04d}", f"train/{n:04d}"] for n in range(20)]
    build = {
        "_target_": "usbench.models.smp.SmpSegmenter",
        "encoder": "resnet18",
        "options": {"channels": [128, 64, 48]},
    }
    recipe = {
        "size": [256, 256],
        "epochs": 60,
        "lr": 0.002,
        "augment": {f"kind{n}": n / 10 for n in range(8)},
    }
    dataset = {
        "name": f"table{place:02d}",
        "views": {task: {"classes": list(CLASSES), "exclusive": True, "layout": layout}},
        "split": {"description": "x" * 120, "near_duplicates": near_duplicates},
    }
    metric = {"primary": "dice", "protocols": ["usbench", "pooled"], "extra": {}}
    return {
        "dataset": dataset,
        "model": {"name": model, "version": 1, "build": build, "recipe": recipe},
        "metric": metric,
    }


def write_results(folder: Path, options: argparse.Namespace, n_cases: int) -> int:
    """All results of one size of case tables; the bytes of their case tables."""
    recipes = list(product(range(options.tables), range(options.models)))
    packed = 0
    for place, model in track(recipes, f"writing results of {n_cases} cases", len(recipes)):
        packed += write_seeds(folder, place, model, options.seeds, n_cases)
    return packed


def write_seeds(folder: Path, place: int, model: int, seeds: int, n_cases: int) -> int:
    """The seeds of one recipe, as save_result writes them but without waiting for the disk.

    Returns:
        The bytes of their case tables.
    """
    task: Task = "landmark" if place % LANDMARKS_EVERY == LANDMARKS_EVERY - 1 else "segment"
    skill = 0.5 + 0.03 * model
    groups = -(-n_cases // CASES_PER_GROUP)
    packed = 0
    protocols = score_table(task, draw_table(task, n_cases, skill, place, model), groups)
    for seed in range(seeds):
        result = make_result(place, model, seed, task, protocols)
        path = checked_path(folder, result)
        path.parent.mkdir(parents=True, exist_ok=True)
        cases = draw_table(task, n_cases, skill, place, model, seed)
        for file, content in files_of_result(path, result, cases).items():
            file.write_bytes(content)
            packed += len(content) if file != path else 0
    return packed


# ---- measuring


@dataclass(frozen=True)
class Usage:
    """What one run of the script took."""

    wall: float  # s
    cpu: float  # s
    peak_mb: float


@dataclass(frozen=True)
class SizeTiming:
    """The leaderboard over one size of case tables."""

    cases: int
    tables_mb: float
    results_mb: float
    first: Usage  # nothing cached
    untested: Usage  # pages cached
    cached: Usage  # tests and pages cached
    page_mb: float
    page_opens_s: float | None  # None without Chromium and Playwright


def run_leaderboard(folder: Path) -> Usage:
    """One leaderboard, in a process of its own."""
    places = ["--results", str(folder / "results"), "--runs", str(folder / "runs")]
    command = [sys.executable, str(SCRIPT), *places, "--conf", str(ROOT / "conf")]
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{SCRIPT}: expected exit code 0, got {child.returncode}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    wall = time.perf_counter() - start
    return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def time_opening(page: Path) -> float | None:
    """Seconds from the start of loading to the first table; None where it can't be opened."""
    try:
        with open_page(page) as view:
            return float(view.evaluate("performance.now()")) / 1000
    except RunError as error:
        warn(str(error))
        return None


def hash_leaderboard(folder: Path) -> str:
    """sha256 of the leaderboard's files."""
    names = ("LEADERBOARD.md", "LEADERBOARD.csv", "index.html")
    content = b"".join((folder / "results" / name).read_bytes() for name in names)
    return hashlib.sha256(content).hexdigest()


def measure(options: argparse.Namespace, n_cases: int) -> SizeTiming:
    """One size of case tables: the first leaderboard and later ones, with the same bytes."""
    with tempfile.TemporaryDirectory(prefix="bench-leaderboard-") as top:
        folder = Path(top)
        packed = write_results(folder / "results", options, n_cases)
        size = sum(path.stat().st_size for path in (folder / "results").rglob("*.json"))
        first = run_leaderboard(folder)
        expected = hash_leaderboard(folder)
        (folder / "runs" / "cache" / "leaderboard.json").unlink()
        untested = run_leaderboard(folder)
        cached = [run_leaderboard(folder) for _ in range(options.blocks)]
        if hash_leaderboard(folder) != expected:
            raise SystemExit("the leaderboard with cached tests differs from the first")
        page = folder / "results" / "index.html"
        opened = [time_opening(page) for _ in range(options.blocks)]
        seconds = [value for value in opened if value is not None]
        return SizeTiming(
            cases=n_cases,
            tables_mb=packed / 2**20,
            results_mb=size / 2**20,
            first=first,
            untested=untested,
            cached=Usage(
                statistics.median(usage.wall for usage in cached),
                statistics.median(usage.cpu for usage in cached),
                statistics.median(usage.peak_mb for usage in cached),
            ),
            page_mb=page.stat().st_size / 2**20,
            page_opens_s=statistics.median(seconds) if seconds else None,
        )


def show(sizes: list[SizeTiming], count: int) -> None:
    """The table, and how fast the page opens."""
    rows = []
    for size in sizes:
        start = [str(size.cases), f"{size.results_mb:.0f}", f"{size.tables_mb:.0f}"]
        usages = {
            ("new", "new"): size.first,
            ("new", "cached"): size.untested,
            ("cached", "cached"): size.cached,
        }
        for states, usage in usages.items():
            took = [f"{usage.wall:.1f}", f"{usage.cpu:.1f}", f"{usage.peak_mb:.0f}"]
            rows.append([*start, *states, *took])
    header = ["cases", "JSON, MB", "tables, MB", "tests", "pages", "wall, s", "CPU, s", "peak, MB"]
    table(f"the leaderboard of {count:,} results", header, rows)
    say("Markdown, CSV and pages, with the start and end of the process; all have the same bytes")
    for size in sizes:
        opens = "no Chromium here"
        if size.page_opens_s is not None:
            opens = f"its first table after {size.page_opens_s:.2f} s"
        say(f"the page, {size.cases} cases: {size.page_mb:.1f} MB, {opens}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("tables", 20), ("models", 10), ("seeds", 50), ("blocks", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument(
        "--cases", type=int, nargs="+", default=[40, 160], help="of each case table, in turn"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers as JSON too")
    options = parser.parse_args()
    sizes = [measure(options, n_cases) for n_cases in options.cases]
    count = options.tables * options.models * options.seeds
    show(sizes, count)
    if options.json:
        content = {"results": count, "sizes": [asdict(size) for size in sizes]}
        write_atomically(options.json, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
