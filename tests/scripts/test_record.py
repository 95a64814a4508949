"""scripts/record.py: the tables in scripts/README.md are those of the records."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import bench_coverage, record
from scripts.record import Ratio, Record
from tests.helpers.paths import ROOT
from usbench.results.result import Code

SCRIPTS = ROOT / "scripts"
PAGES = {  # page → what makes its tables
    SCRIPTS / "README.md": record.format_record,
    bench_coverage.PAGE: bench_coverage.format_coverage,
}
BLOCKS = {
    block[1]: block[0] for page in PAGES for block in record.BLOCK.finditer(page.read_text("utf-8"))
}
RECORDED = {path.stem for path in (SCRIPTS / "records").glob("*.json")}
BENCHMARKS = sorted(path.stem for path in SCRIPTS.glob("bench_*.py"))

MASKS = Record(
    "bench_masks",
    "2026-01-31",
    "A Processor 9000",
    None,
    2,
    0.04,
    Code("0.1.0", "0" * 40, False),
    {"python": "3.11.7", "numpy": "2.4.6", "monai": "1.5.1"},
    {"masks": 1000, "size": [160, 416], "overrides": ["dataset=usgra"]},
    [Ratio("time for Dice", "MONAI", 8.246), Ratio("time for HD95", "a plain loop", 1234.5)],
    {"overlap": {"MONAI": 8.246}},
)
TABLE = """<!-- bench_masks -->
| measured | against | ratio |
|---|---|--:|
| time for Dice | MONAI | 8.25 |
| time for HD95 | a plain loop | 1,234 |

2026-01-31, A Processor 9000, 2 cores, load 0.0 before the start; usbench 0.1.0, python 3.11.7, numpy 2.4.6, monai
1.5.1:

```bash
python scripts/bench_masks.py --masks 1000 --size 160 416 dataset=usgra
```
<!-- /bench_masks -->"""
EMPTY = "# Title\n\n{}\n\n<!-- bench_other -->\nNot recorded yet.\n<!-- /bench_other -->\n"


# ---- the page of this repository


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_table_is_its_record_s(page):
    """Else run a benchmark with --record: it writes both."""
    text = page.read_text("utf-8")
    assert record.fill_page(text, SCRIPTS / "records", PAGES[page]) == text


def test_a_block_without_a_record_says_so():
    for name, block in BLOCKS.items():
        assert ("Not recorded yet." in block) == (name not in RECORDED), name


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_with_a_record_has_a_block(name):
    source = (SCRIPTS / f"{name}.py").read_text("utf-8")
    assert (f'make_record("{name}"' in source) == (name in BLOCKS)
    assert ("--record" in source) == (name in BLOCKS)


def test_every_record_is_of_a_benchmark():
    assert set(BLOCKS) >= RECORDED
    for name in RECORDED:
        assert record.load_record(SCRIPTS / "records" / f"{name}.json").benchmark == name


# ---- writing


def options_of(**values: object) -> argparse.Namespace:
    return argparse.Namespace(**{"json": None, "record": False, "load": 0.0, **values})


def test_a_record_and_its_table_are_written(tmp_path, capsys):
    page = tmp_path / "README.md"
    page.write_text(EMPTY.format("<!-- bench_masks -->\nold\n<!-- /bench_masks -->"))
    record.save_record(options_of(record=True), MASKS, tmp_path)
    assert page.read_text() == EMPTY.format(TABLE)
    path = tmp_path / "records" / "bench_masks.json"
    assert record.load_record(path) == MASKS
    assert "8.25" in capsys.readouterr().out
    path.unlink()
    assert "<!-- bench_masks -->\nNot recorded yet.\n" in record.fill_page(
        page.read_text(), path.parent
    )


def test_without_record_only_the_file_that_was_named_is_written(tmp_path):
    record.save_record(options_of(json=tmp_path / "out.json"), MASKS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    assert record.load_record(tmp_path / "out.json") == MASKS


def test_a_record_says_what_was_measured_where_and_with_what():
    parser = record.make_bench_parser("A benchmark.")
    parser.add_argument("--masks", type=int, default=5)
    parser.add_argument("overrides", nargs="*")
    options = record.parse_options(parser, ["data=/a/b", "seed=1", "--masks", "3", "model=unet"])
    made = record.make_record("bench_masks", options, [], {}, ["medpy", "no-such-package"])
    assert made.arguments == {"masks": 3, "overrides": ["seed=1", "model=unet"]}
    assert list(made.versions) == ["python", "numpy", "torch", "medpy"]
    assert made.cores >= 1 and made.processor and made.load >= 0 and made.gpu is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", made.date) and made.code.version == "0.1.0"


def test_the_command_has_no_option_that_is_off_and_no_folder():
    options = options_of(workers=0, dry_run=False, data=Path("/a/b"), device=None, stages=["speed"])
    assert record.list_arguments(options) == {"workers": 0, "stages": ["speed"]}


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.987, "0.99"), (9.994, "9.99"), (10.04, "10.0"), (99.94, "99.9"), (12345.6, "12,346")],
)
def test_ratios_have_three_digits(ratio, text):
    assert record.format_ratio(ratio) == text


# ---- the scripts


def run_script(*command: str, folder: Path, first: Path = ROOT) -> str:
    """What a script prints that runs in a folder. first: whose `scripts` is imported."""
    path = os.pathsep.join(map(str, (first, ROOT)))
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.process
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_starts_in_any_folder(name, tmp_path):
    assert "--json" in run_script(str(SCRIPTS / f"{name}.py"), "--help", folder=tmp_path)


@pytest.mark.process
def test_a_benchmark_records_itself(tmp_path):
    """In a copy of the scripts, with a few images."""
    copy = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, copy, ignore=shutil.ignore_patterns("records", "__pycache__"))
    few = ["--images", "5", "--boxes", "4", "--blocks", "1"]
    few += ["--few-images", "3"]
    script = str(copy / "bench_boxes.py")
    printed = run_script(script, *few, "--record", folder=tmp_path, first=tmp_path)
    assert "is written" in printed
    written = json.loads((copy / "records" / "bench_boxes.json").read_text())
    assert written["versions"].keys() >= {"pycocotools", "faster-coco-eval", "numpy", "torch"}
    assert [row["against"] for row in written["ratios"][:10:2]] == [
        "pycocotools",
        "faster-coco-eval",
        "ultrafast-pycocotools",
        "hotcoco",
        "1,000 evaluations of the fastest, extrapolated",
    ]
    page = (copy / "README.md").read_text()
    before = (SCRIPTS / "README.md").read_text("utf-8")
    assert page == record.fill_page(page, copy / "records") != before
    assert "| pycocotools |" in page
