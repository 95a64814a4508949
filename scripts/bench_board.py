"""Seconds and memory of the leaderboard over thousands of results: synthetic records with their case tables.

Tables of masks and of landmarks, each with so many models and seeds, are written below a temporary folder, the bytes
those of usbench.results.store.save. scripts/leaderboard.py then runs in processes of its own: with no pair test and no
result's page known; with all of these pages, but no test; and with both, `--blocks` times (medians). The same again
with larger case tables, for the memory must not grow with them. Boxes are left out: swapping those of 50 seeds ten
thousand times takes hours, whatever the board does. Last the page is opened in Chromium, where there is one: from the
start of loading to its first table.

    python scripts/bench_board.py [--tables 20] [--models 10] [--seeds 50] [--cases 40 160] [--blocks 3] [--json FILE]
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
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from usbench.errors import RunError
from usbench.io.console import say, table, track, warn
from usbench.io.files import replacing
from usbench.leaderboard.page.picture import shown
from usbench.leaderboard.pooling import radial
from usbench.metrics import segment_scorer
from usbench.metrics.scores import Scores
from usbench.results import store as results
from usbench.runner import report
from usbench.types import Task

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "leaderboard.py"
CLASSES = ("nerve", "vessel")
PER_GROUP = 2  # cases
LANDMARKS_EVERY = 4  # of so many tables one is of landmarks
Case = dict[str, Any]


def masks(rng: np.random.Generator, n: int, skill: float) -> Iterator[Case]:
    """One image's rows: counts of pixels and outlines."""
    for label in CLASSES:
        size, overlap = (
            int(rng.integers(2_000, 20_000)),
            float(np.clip(rng.normal(skill, 0.1), 0.05, 0.95)),
        )
        hit = int(size * overlap)
        row: Case = {"case": f"test/{n:05d}", "group": f"p{n // PER_GROUP:04d}", "class": label}
        row |= {"tp": hit, "fp": int(size * rng.uniform(0, 0.3)), "fn": size - hit}
        outlines = {"nsd": overlap / 2, "hd_px": 90 * (1 - overlap), "hd95_px": 70 * (1 - overlap)}
        row |= outlines | {
            "assd_px": 20 * (1 - overlap),
            **dict.fromkeys(("nsd_mm", "hd_mm", "hd95_mm", "assd_mm")),
        }
        yield row | {"diagonal_px": 724.077344, "diagonal_mm": None}


def landmarks(rng: np.random.Generator, n: int, skill: float) -> Iterator[Case]:
    """One image's rows: radial errors."""
    for label in CLASSES:
        row: Case = {
            "case": f"test/{n:05d}",
            "group": f"p{n // PER_GROUP:04d}",
            "class": label,
            "kind": "point",
        }
        row |= {
            "state": "seen",
            "error_px": float(rng.exponential(20 * (1 - skill))),
            "error_mm": None,
        }
        yield row | {
            "hd_px": None,
            "hd_mm": None,
            "diagonal_px": 724.077344,
            "score": float(rng.uniform(0.5, 1)),
        }


def drawn(task: Task, cases: int, skill: float, *seed: int) -> list[Case]:
    """A case table, row by row."""
    rng = np.random.default_rng(seed)
    make = masks if task == "segment" else landmarks
    return [row for n in range(cases) for row in make(rng, n, skill)]


def scored(task: Task, cases: list[Case]) -> Scores:
    """The table's own scores, as a record holds them."""
    rows = [{name: results._cell(value, name) for name, value in row.items()} for row in cases]
    if task == "segment":
        return segment_scorer.from_cases(rows, CLASSES, ("usbench", "pooled"))
    return Scores(radial(rows, CLASSES, {}))


def figures(of: Mapping[str, Any], groups: int, shift: float) -> dict[str, Any]:
    """Figures moved a little: each seed has its own."""
    told = report.figures(of, groups)
    moved = ("value", "low", "high")
    return {
        name: {k: v + shift if k in moved and v is not None else v for k, v in figure.items()}
        for name, figure in told.items()
    }


def record(
    place: int, model: int, seed: int, task: Task, scores: Scores, groups: int
) -> dict[str, Any]:
    """A finished run, with all that a real one says."""
    shift = float(np.random.default_rng((place, model, seed)).normal(0, 0.01))
    series = hashlib.sha256(f"{place} {model}".encode()).hexdigest()[:12]
    views: list[dict[str, Any]] = [
        {
            "version": one.version,
            "description": one.description,
            "target_score": report.figures(one.target_score, groups),
            "scores": figures(one.scores, groups, shift),
            "per_class": {
                name: figures(part, groups, shift) for name, part in one.per_class.items()
            },
        }
        for one in scores.protocols
    ]
    own, primary = views[0], "dice" if task == "segment" else "mre_px"
    name, higher = f"model{model:02d}", task == "segment"
    return {
        **{
            "schema": 2,
            "dataset": f"table{place:02d}",
            "task": task,
            "fold": None,
            "trained_on": None,
        },
        **{"origin": "run", "model": name, "recipe": "standard", "seed": seed, "status": "done"},
        "run_id": hashlib.sha256(f"{series} {seed}".encode()).hexdigest()[:12],
        "series": series,
        "protocol": {
            "name": scores.protocol.name,
            "version": own.pop("version"),
            "description": own.pop("description"),
        },
        "primary": {
            "name": primary,
            "value": own["scores"][primary]["value"],
            "higher_is_better": higher,
        },
        **own,
        "protocols": {
            one.name: view for one, view in zip(scores.protocols[1:], views[1:], strict=True)
        },
        "data": {
            "fingerprint": f"{place:064x}",
            "counts": {"train": 400, "val": 60, "test": 40},
            "phantom": False,
        },
        "config": config(place, name, task),
        "code": {"version": "0.1.0", "commit": "0" * 40, "dirty": False},
        "machine": {
            "processor": "a processor",
            "gpu": None,
            "packages": {f"package-{n}": "1.2.3" for n in range(10)},
        },
        **{"device": "cpu", "precision": "bf16", "threads": 2, "parameters": 12_512_755},
        "seconds": {"fit": 600.0 + seed, "predict": 5.0, "score": 1.0},
    }


def config(place: int, model: str, task: Task) -> dict[str, Any]:
    """A resolved configuration of usual size."""
    layout = {
        "_target_": "usbench.datasets.layouts.index_masks.IndexMasks",
        "folders": {"train": ["a", "b"], "test": ["c"]},
    }
    near = [[f"test/{n:04d}", f"train/{n:04d}"] for n in range(20)]
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
    views = {task: {"classes": list(CLASSES), "exclusive": True, "layout": layout}}
    return {
        "dataset": {
            "name": f"table{place:02d}",
            "views": views,
            "split": {"description": "x" * 120, "near_duplicates": near},
        },
        "model": {"name": model, "version": 1, "build": build, "recipe": recipe},
        "metric": {"primary": "dice", "protocols": ["usbench", "pooled"], "extra": {}},
    }


def write(folder: Path, wanted: argparse.Namespace, cases: int) -> int:
    """All results of one size of case tables; the bytes of their case tables."""
    recipes = list(product(range(wanted.tables), range(wanted.models)))
    return sum(
        write_seeds(folder, place, model, wanted.seeds, cases)
        for place, model in track(recipes, f"writing results of {cases} cases", len(recipes))
    )


def write_seeds(folder: Path, place: int, model: int, seeds: int, cases: int) -> int:
    """The seeds of one recipe, the bytes as results.save writes them but without waiting for the disk."""
    task: Task = "landmark" if place % LANDMARKS_EVERY == LANDMARKS_EVERY - 1 else "segment"
    skill, groups, packed = 0.5 + 0.03 * model, -(-cases // PER_GROUP), 0
    scores = scored(task, drawn(task, cases, skill, place, model))
    for seed in range(seeds):
        made = record(place, model, seed, task, scores, groups)
        path = results.place(folder, made)
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, content in results.files_of(
            path, made, drawn(task, cases, skill, place, model, seed)
        ).items():
            file.write_bytes(content)
            packed += len(content) if file != path else 0
    return packed


def board(folder: Path) -> dict[str, float]:
    """One leaderboard, in a process of its own: wall and CPU seconds, MB of memory at its peak."""
    command = [
        sys.executable,
        str(SCRIPT),
        "--results",
        str(folder / "results"),
        "--runs",
        str(folder / "runs"),
    ]
    start = time.perf_counter()
    child = subprocess.Popen([*command, "--conf", str(ROOT / "conf")], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{SCRIPT}: exit code 0 was wanted, found {child.returncode}")
    peak = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {
        "wall": time.perf_counter() - start,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mb": peak,
    }


def opening(page: Path) -> float | None:
    """Seconds from the start of loading to the first table; None without Chromium and Playwright."""

    try:
        with shown(page) as view:
            return float(view.evaluate("performance.now()")) / 1000
    except RunError as error:
        warn(str(error))
        return None


def digest(folder: Path) -> str:
    """Of the board's files."""
    files = [
        folder / "results" / name for name in ("LEADERBOARD.md", "LEADERBOARD.csv", "index.html")
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def measured(wanted: argparse.Namespace, cases: int) -> dict[str, Any]:
    """One size of case tables: the first board and the next ones, which must have the same bytes."""
    with tempfile.TemporaryDirectory(prefix="bench-board-") as top:
        folder = Path(top)
        packed = write(folder / "results", wanted, cases)
        size = sum(path.stat().st_size for path in (folder / "results").rglob("*.json"))
        first, made = board(folder), digest(folder)
        (folder / "runs" / "cache" / "board.json").unlink()
        untested = board(folder)
        again = [board(folder) for _ in range(wanted.blocks)]
        if digest(folder) != made:
            raise SystemExit(
                "the board with known pair tests: the bytes of the first were wanted, found others"
            )
        page = folder / "results" / "index.html"
        page_mb, opened = page.stat().st_size / 2**20, [opening(page) for _ in range(wanted.blocks)]
    known = {name: statistics.median(each[name] for each in again) for name in again[0]}
    took = [seconds for seconds in opened if seconds is not None]
    shown_s = {"page_mb": page_mb, "page_opens_s": statistics.median(took) if took else None}
    sizes = {"tables_mb": packed / 2**20, "records_mb": size / 2**20}
    return {
        "cases": cases,
        **sizes,
        "first": first,
        "untested": untested,
        "known": known,
        **shown_s,
    }


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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    wanted = parser.parse_args()
    found = [measured(wanted, cases) for cases in wanted.cases]
    count = wanted.tables * wanted.models * wanted.seeds
    header = ["cases", "JSON, MB", "tables, MB", "tests", "pages", "wall, s", "CPU, s", "peak, MB"]
    rows = []
    for one in found:
        size = [str(one["cases"]), f"{one['records_mb']:.0f}", f"{one['tables_mb']:.0f}"]
        for part, *words in (
            ("first", "new", "new"),
            ("untested", "new", "known"),
            ("known", "known", "known"),
        ):
            took = one[part]
            rows.append(
                [
                    *size,
                    *words,
                    f"{took['wall']:.1f}",
                    f"{took['cpu']:.1f}",
                    f"{took['peak_mb']:.0f}",
                ]
            )
    table(f"the board of {count:,} results", header, rows)
    say(
        "Markdown, CSV and pages, the process's start and end included; all boards have the same bytes"
    )
    for one in found:
        opens = (
            "no Chromium here"
            if one["page_opens_s"] is None
            else f"its first table after {one['page_opens_s']:.2f} s"
        )
        say(f"the page, {one['cases']} cases: {one['page_mb']:.1f} MB, {opens}")
    if wanted.json:
        with replacing(wanted.json) as beside:
            beside.write_text(
                json.dumps({"results": count, "sizes": found}, indent=1) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    main()
