"""Seconds and memory of the leaderboard over thousands of synthetic results with case tables.

Tables of masks and of landmarks, each with so many models and seeds, are written below a temporary
folder, with the bytes of usbench.results.store.save_result. usbench leaderboard then runs in
processes of its own: with no pair test and no result's page cached; with all pages cached but no
test; and with both, `--blocks` times (medians). The same again with larger case tables, because
the memory must not grow with them. Boxes are left out: swapping those of 50 seeds ten thousand
times takes hours, whatever the leaderboard does. Last the page is opened in Chromium, where there
is one: from the start of loading to its first table.

    python scripts/bench_leaderboard.py [--tables 20] [--models 10] [--seeds 50] [--cases 40 160]
                                        [--blocks 3] [--record] [--json FILE]
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from scripts.record import Ratio, make_bench_parser, make_record, parse_options, save_record
from usbench.cli.options import Options, add_numbers
from usbench.io.console import say, table, track, warn
from usbench.io.files import JsonObject
from usbench.metrics.scores import Figures, ProtocolScores
from usbench.results.case_scores import score_case_table
from usbench.results.result import Code, Data, Machine, Primary, Result
from usbench.results.store import Case, checked_path, encode_cell, files_of_result
from usbench.types import Task

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "usbench", "leaderboard"]
CLASSES = ("nerve", "vessel")
CASES_PER_GROUP = 2
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FIRST_ROW = ".board tbody tr"  # of the page's first table
LANDMARKS_EVERY = 4  # of so many tables one is of landmarks


# ---- synthetic results


def draw_mask(rng: np.random.Generator, skill: float) -> Case:
    """Counts of pixels and outlines of one image and class."""
    size = int(rng.integers(2_000, 20_000))
    overlap = float(np.clip(rng.normal(skill, 0.1), 0.05, 0.95))
    hits = int(size * overlap)
    return {
        "tp": hits,
        "fp": int(size * rng.uniform(0, 0.3)),
        "fn": size - hits,
        "nsd": overlap / 2,
        "hd_px": 90 * (1 - overlap),
        "hd95_px": 70 * (1 - overlap),
        "assd_px": 20 * (1 - overlap),
        **dict.fromkeys(("nsd_mm", "hd_mm", "hd95_mm", "assd_mm")),
        "diagonal_px": 724.077344,
        "diagonal_mm": None,
    }


def draw_landmark(rng: np.random.Generator, skill: float) -> Case:
    """Radial error of one image's landmark."""
    return {
        "kind": "point",
        "state": "seen",
        "error_px": float(rng.exponential(20 * (1 - skill))),
        **dict.fromkeys(("error_mm", "hd_px", "hd_mm")),
        "diagonal_px": 724.077344,
        "score": float(rng.uniform(0.5, 1)),
    }


def draw_table(task: Task, n_cases: int, skill: float, *seed: int) -> list[Case]:
    """A case table."""
    rng = np.random.default_rng(seed)
    draw = draw_mask if task == "segment" else draw_landmark
    rows: list[Case] = []
    for n, label in product(range(n_cases), CLASSES):
        rows.append(
            {
                "case": f"test/{n:05d}",
                "group": f"p{n // CASES_PER_GROUP:04d}",
                "class": label,
                **draw(rng, skill),
            }
        )
    return rows


def score_table(task: Task, cases: list[Case]) -> list[ProtocolScores]:
    """The table's own scores by two protocols, or by the one of landmarks."""
    rows = []
    for case in cases:
        rows.append({name: encode_cell(value, name) for name, value in case.items()})
    if task == "segment":
        return list(score_case_table(rows, task, CLASSES, ("usbench", "pooled"), {}).protocols)
    return list(score_case_table(rows, task, CLASSES, ("radial",), {}).protocols)


def shift_scores(scores: ProtocolScores, shift: float) -> ProtocolScores:
    """The scores moved a little: each seed has its own."""
    per_class = {label: shift_figures(part, shift) for label, part in scores.per_class.items()}
    return replace(scores, scores=shift_figures(scores.scores, shift), per_class=per_class)


def shift_figures(figures: Figures, shift: float) -> Figures:
    """All defined values and intervals moved."""
    shifted = {}
    for name, figure in figures.items():
        if figure.value is not None:
            figure = replace(figure, value=figure.value + shift)
        if figure.low is not None and figure.high is not None:
            figure = replace(figure, low=figure.low + shift, high=figure.high + shift)
        shifted[name] = figure
    return shifted


def make_result(
    place: int, model: int, seed: int, task: Task, protocols: Sequence[ProtocolScores]
) -> Result:
    """A finished run, with all that a real one has. place: the number of its table."""
    shift = float(np.random.default_rng((place, model, seed)).normal(0, 0.01))
    series = hashlib.sha256(f"{place} {model}".encode()).hexdigest()[:12]
    name = f"model{model:02d}"
    moved = tuple(shift_scores(scores, shift) for scores in protocols)
    primary = "dice" if task == "segment" else "mre_px"
    packages = dict.fromkeys((f"package-{n}" for n in range(10)), "1.2.3")
    return Result(
        dataset=f"table{place:02d}",
        task=task,
        model=name,
        run_id=hashlib.sha256(f"{series} {seed}".encode()).hexdigest()[:12],
        status="done",
        origin="run",
        data=Data(f"{place:064x}", {"train": 400, "val": 60, "test": 40}, phantom=False),
        code=Code("0.1.0", "0" * 40, dirty=False),
        machine=Machine(processor="a processor", packages=packages),
        config=make_config(place, name, task),
        recipe="standard",
        seed=seed,
        series=series,
        primary=Primary(primary, moved[0].scores[primary].value, task == "segment"),
        protocols=moved,
        device="cpu",
        precision="bf16",
        threads=2,
        parameters=12_512_755,
        seconds={"fit": 600.0 + seed, "predict": 5.0, "score": 1.0},
    )


def make_config(place: int, model: str, task: Task) -> dict[str, object]:
    """A resolved configuration of usual size."""
    return {
        "dataset": {
            "name": f"table{place:02d}",
            "views": {
                task: {
                    "classes": list(CLASSES),
                    "exclusive": True,
                    "layout": {
                        "_target_": "usbench.datasets.layouts.index_masks.IndexMasks",
                        "folders": {"train": ["a", "b"], "test": ["c"]},
                    },
                }
            },
            "split": {
                "description": "x" * 120,
                "near_duplicates": [[f"test/{n:04d}", f"train/{n:04d}"] for n in range(20)],
            },
        },
        "model": {
            "name": model,
            "version": 1,
            "build": {
                "_target_": "usbench.models.smp.SmpSegmenter",
                "encoder": "resnet18",
                "options": {"channels": [128, 64, 48]},
            },
            "recipe": {
                "size": [256, 256],
                "epochs": 60,
                "lr": 0.002,
                "augment": {f"kind{n}": n / 10 for n in range(8)},
            },
        },
        "metric": {"primary": "dice", "protocols": ["usbench", "pooled"], "extra": {}},
    }


def write_results(folder: Path, options: Options, n_cases: int) -> int:
    """All results of one size of case tables; the bytes of their case tables."""
    recipes = list(product(range(options.tables), range(options.models)))
    return sum(
        write_seeds(folder, place, model, options.seeds, n_cases)
        for place, model in track(recipes, f"writing results of {n_cases} cases")
    )


def write_seeds(folder: Path, place: int, model: int, seeds: int, n_cases: int) -> int:
    """The seeds of one recipe, as save_result writes them but without waiting for the disk.

    Returns:
        The bytes of their case tables.
    """
    task: Task = "landmark" if place % LANDMARKS_EVERY == LANDMARKS_EVERY - 1 else "segment"
    draw_cases = partial(draw_table, task, n_cases, 0.5 + 0.03 * model, place, model)
    protocols, packed = score_table(task, draw_cases()), 0
    for seed in range(seeds):
        result = make_result(place, model, seed, task, protocols)
        path = checked_path(folder, result)
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, content in files_of_result(path, result, draw_cases(seed)).items():
            file.write_bytes(content)
            packed += len(content) if file != path else 0
    return packed


# ---- measuring


Usage = dict[str, float]  # of one run of the script: wall and cpu in s, peak_mb
CACHED = {  # run of the script → (tests, pages)
    "first": ("new", "new"),
    "untested": ("new", "cached"),
    "cached": ("cached", "cached"),
}


def run_leaderboard(folder: Path) -> Usage:
    """One leaderboard, in a process of its own."""
    places = ["--results", str(folder / "results"), "--runs", str(folder / "runs")]
    command = [*COMMAND, *places]
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"usbench leaderboard: expected exit code 0, got {child.returncode}")
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak_mb": peak}


def time_opening(page: Path) -> float | None:
    """Seconds from the start of loading to the first table; None where it can't be opened."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import Error, sync_playwright  # of the tests' extra
    except ImportError:
        program = None
    if program is None:
        warn("the page isn't opened: no Chromium or no Playwright (pip install 'usbench[test]')")
        return None
    try:
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
            view = browser.new_page()
            view.goto(page.resolve().as_uri(), wait_until="commit")
            view.wait_for_selector(FIRST_ROW, timeout=60_000)
            return float(view.evaluate("performance.now()")) / 1000
    except Error as error:
        warn(f"{page}: {error.message}")
        return None


def hash_leaderboard(results: Path) -> str:
    """sha256 of the leaderboard's files."""
    names = ("LEADERBOARD.md", "LEADERBOARD.csv", "index.html")
    return hashlib.sha256(b"".join((results / name).read_bytes() for name in names)).hexdigest()


def measure(options: Options, n_cases: int) -> JsonObject:
    """One size of case tables: the first leaderboard and later ones, with the same bytes.

    Returns:
        Sizes in MB, what the leaderboard used with nothing cached (first), with pages cached
        (untested) and with tests too (cached). page_opens_s is None without a Chromium.
    """
    with tempfile.TemporaryDirectory(prefix="bench-leaderboard-") as top:
        folder = Path(top)
        results, page = folder / "results", folder / "results" / "index.html"
        packed = write_results(results, options, n_cases)
        size = sum(path.stat().st_size for path in results.rglob("*.json"))
        first = run_leaderboard(folder)
        expected = hash_leaderboard(results)
        (folder / "runs" / "cache" / "leaderboard.json").unlink()
        untested = run_leaderboard(folder)
        cached = [run_leaderboard(folder) for _ in range(options.blocks)]
        if hash_leaderboard(results) != expected:
            raise SystemExit("the leaderboard with cached tests differs from the first")
        opened = list(filter(None, (time_opening(page) for _ in range(options.blocks))))
        return {
            "cases": n_cases,
            "tables_mb": packed / 2**20,
            "results_mb": size / 2**20,
            "first": first,
            "untested": untested,
            "cached": {name: statistics.median(use[name] for use in cached) for name in first},
            "page_mb": page.stat().st_size / 2**20,
            "page_opens_s": statistics.median(opened) if opened else None,
        }


def show(sizes: list[JsonObject], count: int) -> None:
    """Print the table, and how fast the page opens."""
    rows = []
    for size in sizes:
        start = [str(size["cases"]), f"{size['results_mb']:.0f}", f"{size['tables_mb']:.0f}"]
        for name, states in CACHED.items():
            usage: Usage = size[name]
            took = [f"{usage['wall']:.1f}", f"{usage['cpu']:.1f}", f"{usage['peak_mb']:.0f}"]
            rows.append([*start, *states, *took])
    header = ["cases", "JSON, MB", "CSV, MB", "tests", "pages", "wall, s", "CPU, s", "peak, MB"]
    table(f"the leaderboard of {count:,} results", header, rows)
    say("Markdown, CSV and pages, with the start and end of the process; all have the same bytes")
    for size in sizes:
        seconds = size["page_opens_s"]
        opens = f"its first table after {seconds:.2f} s" if seconds else "no Chromium here"
        say(f"the page, {size['cases']} cases: {size['page_mb']:.1f} MB, {opens}")


def compare(sizes: list[JsonObject], count: int) -> list[Ratio]:
    """Time with everything cached by that with nothing; memory of larger tables by the first's."""
    ratios = []
    for size in sizes:
        measured = f"time of the leaderboard of {count:,} results, {size['cases']} cases each"
        ratio = size["first"]["wall"] / size["cached"]["wall"]
        ratios.append(Ratio(f"{measured}, pages and tests cached", "nothing cached", ratio))
    smallest, *larger = sizes
    for size in larger:
        ratio = smallest["first"]["peak_mb"] / size["first"]["peak_mb"]
        against = f"with {smallest['cases']} cases"
        ratios.append(Ratio(f"peak memory of it, {size['cases']} cases each", against, ratio))
    return ratios


def main() -> None:
    """Measure, show, write."""
    parser = make_bench_parser(__doc__)
    add_numbers(parser, tables=20, models=10, seeds=50, blocks=3)
    parser.add_argument(
        "--cases", type=int, nargs="+", default=[40, 160], help="of each case table, in turn"
    )
    options = parse_options(parser)
    sizes = [measure(options, n_cases) for n_cases in options.cases]
    count = options.tables * options.models * options.seeds
    show(sizes, count)
    save_record(options, make_record("bench_leaderboard", options, compare(sizes, count), sizes))


if __name__ == "__main__":
    main()
