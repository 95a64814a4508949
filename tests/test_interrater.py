"""Two annotators against each other: by hand, on a phantom's files, and the published figures from the real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from usbench.datasets.layouts.kidney import Kidney
from usbench.datasets.layouts.kidney_planes import ANATOMY
from usbench.errors import ConfigError
from usbench.evaluate import annotators as interrater
from usbench.leaderboard import build as leaderboard
from usbench.metrics.scores import Scores
from usbench.results import store as results

REAL = os.environ.get("USBENCH_TEST_DATA")
SCRIPTS = Path(__file__).parent.parent / "scripts"
HEAD = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"


def row(name: str, x: int, width: int, label: str) -> str:
    """A box of `width` × 2 pixels from (x, 0)."""
    xs, ys = f"{x},{x + width - 1},{x + width - 1},{x}", "0,0,1,1"
    shape = f'"{{""name"":""polygon"",""all_points_x"":[{xs}],""all_points_y"":[{ys}]}}"'
    return f'{name},9,"{{""View"":""Other""}}",1,0,{shape},"{{""Anatomy"":""{label}""}}"\n'


def bare(name: str) -> str:
    return f'{name},9,"{{""View"":""Other""}}",0,0,"{{}}","{{}}"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Capsule: image 1 drawn by both with Dice 2·4/(6+6) = 2/3, image 2 by one only, image 3 by none."""
    (tmp_path / "labels").mkdir()
    one = row("1_a.png", 0, 3, "Capsule") + row("2_b.png", 0, 3, "Capsule") + bare("3_c.png")
    two = row("1_a.png", 1, 3, "Capsule") + bare("2_b.png") + bare("3_c.png")
    (tmp_path / "labels/reviewed_labels_1.csv").write_text(HEAD + one)
    (tmp_path / "labels/reviewed_labels_2.csv").write_text(HEAD + two)
    return tmp_path


def agreement(root: Path, *rules: str, **chosen: object) -> Scores:
    return interrater.score(Kidney(ANATOMY, **chosen), root, rules)[0]


def test_figures_by_hand(root):
    scores = agreement(root, "usbench", "kidneyus")
    ours, theirs = (ruled.per_class["Capsule"] for ruled in scores.protocols)
    assert ours["dice"].value == pytest.approx((2 / 3 + 0) / 2) and ours["dice"].n == 2
    assert ours[interrater.BOTH].value == pytest.approx(2 / 3) and ours[interrater.BOTH].n == 1
    assert theirs["dice"].value == pytest.approx((2 / 3 + 0 + 1) / 3) and theirs["dice"].n == 3
    assert scores.protocols[1].per_class["Cortex"]["dice"].value == 1  # nobody drew any
    assert scores.protocol.per_class["Cortex"]["dice"].value is None
    assert ours["dice"].low is None and "3 groups" in ours["dice"].interval


def test_what_one_has_not_drawn_counts_nowhere_where_it_is_unknown(root):
    scores = agreement(root, "usbench", "kidneyus", undrawn="unknown")
    for ruled in scores.protocols:
        assert ruled.per_class["Capsule"]["dice"].value == pytest.approx(2 / 3)
        assert (
            ruled.per_class["Capsule"]["dice"].n == 1
            and ruled.per_class["Cortex"]["dice"].value is None
        )


def test_a_dataset_of_one_annotator_is_refused():
    with pytest.raises(ConfigError, match="drawn by two annotators was wanted"):
        interrater.two_annotators(object(), "usgra")  # type: ignore[arg-type]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPTS / "interrater.py", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_script_keeps_an_unranked_row(root, tmp_path):
    words = [
        f"dataset.root={root}",
        f"results={tmp_path / 'results'}",
        "--json",
        str(tmp_path / "copy.json"),
    ]
    done = run("dataset=kidney", *words)
    assert done.returncode == 0 and "Central Echo Complex" in done.stdout, done.stderr
    [record] = results.load_all(tmp_path / "results")
    assert record["origin"] == "human" and record["seed"] is None and not record["data"]["phantom"]
    assert json.loads((tmp_path / "copy.json").read_text()) == record
    path = results.record_path(tmp_path / "results", record)
    assert path.name == f"human-agreement-{record['run_id']}.json"
    assert {len(case["case"]) for case in results.load_cases(path)} == {
        12
    }  # hashed: the images aren't to be shared
    rows = leaderboard.rows([record], [])
    assert {row.protocol for row in rows} == {"usbench", "pooled", "kidneyus"} and rows[
        0
    ].name == "human agreement"
    assert rows[0].note.startswith("unranked; annotator 1 against 2 on all 3 images of 3 groups")
    before = path.read_bytes()
    assert run("dataset=kidney", *words).returncode == 0 and path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["dataset=usgra", "dataset.root={tmp}"], 2, "drawn by two annotators was wanted"),
        (["dataset=nnus", "dataset.root={tmp}"], 2, "with masks by two annotators was wanted"),
        (["dataset=kidney", "dataset.root={tmp}"], 1, "an annotator's labels were wanted here"),
        (["dataset=kidney", "data={tmp}/none"], 1, "the release of kidney was wanted here"),
        ([], 2, "dataset= was wanted"),
        (["dataset=kidney", "nonsense=1"], 2, "nonsense"),
    ],
)
def test_the_script_refuses_with_one_line(words, code, says, tmp_path):
    done = run(*(word.format(tmp=tmp_path) for word in words))
    assert (done.returncode, done.stderr.count("\n")) == (code, 1) and says in done.stderr, (
        done.stderr
    )


@pytest.mark.real
@pytest.mark.skipif(
    not REAL or not (Path(REAL) / "kidney").is_dir(),
    reason="USBENCH_TEST_DATA has no kidney folder",
)
def test_the_real_annotators_agree_as_was_measured(compose):
    layout = compose("dataset=kidney")["dataset"]["views"]["segment"]["layout"]
    chosen = Kidney(ANATOMY, copies=layout["copies"], rects=1)
    scores, _, images = interrater.score(
        chosen, Path(str(REAL)) / "kidney", ["usbench", "kidneyus"]
    )
    assert images == 514 and len({case["group"] for case in scores.cases}) == 501
    by_class = scores.protocols[1].per_class
    measured = {
        "Capsule": 0.9497,
        "Central Echo Complex": 0.8797,
        "Medulla": 0.7913,
        "Cortex": 0.7318,
    }
    for (
        name,
        dice,
    ) in measured.items():  # .0003 apart for the complex, equal to four digits for the others
        assert by_class[name]["dice"].value == pytest.approx(dice, abs=5e-4), name
    both = [scores.protocol.per_class[name][interrater.BOTH].value for name in ANATOMY]
    assert both == pytest.approx([0.9469, 0.8715, 0.6926, 0.5979], abs=5e-4)
    figure = scores.protocol.scores["dice"]
    assert figure.low < figure.value < figure.high and figure.high - figure.low < 0.04
    assert np.isclose(
        scores.protocols[1].scores["dice"].value,
        np.mean([f["dice"].value for f in by_class.values()]),
    )
