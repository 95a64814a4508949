"""Two annotators against each other: by hand, on files, and the published figures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from usbench.datasets.releases.kidney import Kidney
from usbench.datasets.releases.kidney_planes import ANATOMY
from usbench.errors import ConfigError
from usbench.evaluate.annotators import BOTH, as_two_annotators, score_agreement
from usbench.leaderboard.build import build_rows
from usbench.metrics.scores import Scores
from usbench.results.store import load_cases, load_results, result_path

REAL = os.environ.get("USBENCH_TEST_DATA")
HEAD = (
    "filename,file_size,file_attributes,region_count,region_id,"
    "region_shape_attributes,region_attributes\n"
)


def row(name: str, x: int, width: int, label: str) -> str:
    """A box of `width` × 2 pixels from (x, 0)."""
    xs, ys = f"{x},{x + width - 1},{x + width - 1},{x}", "0,0,1,1"
    shape = f'"{{""name"":""polygon"",""all_points_x"":[{xs}],""all_points_y"":[{ys}]}}"'
    return f'{name},9,"{{""View"":""Other""}}",1,0,{shape},"{{""Anatomy"":""{label}""}}"\n'


def bare(name: str) -> str:
    return f'{name},9,"{{""View"":""Other""}}",0,0,"{{}}","{{}}"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Capsule: image 1 by both with Dice 2·4/(6+6) = 2/3, image 2 by one only, image 3 by none."""
    (tmp_path / "labels").mkdir()
    first = row("1_a.png", 0, 3, "Capsule") + row("2_b.png", 0, 3, "Capsule") + bare("3_c.png")
    two = row("1_a.png", 1, 3, "Capsule") + bare("2_b.png") + bare("3_c.png")
    (tmp_path / "labels/reviewed_labels_1.csv").write_text(HEAD + first)
    (tmp_path / "labels/reviewed_labels_2.csv").write_text(HEAD + two)
    return tmp_path


def agreement(root: Path, *protocols: str, **options: object) -> Scores:
    return score_agreement(Kidney(ANATOMY, **options), root, protocols).scores


def test_figures_by_hand(root):
    scores = agreement(root, "usbench", "kidneyus")
    ours, theirs = (protocol.per_class["Capsule"] for protocol in scores.protocols)
    assert ours["dice"].value == pytest.approx((2 / 3 + 0) / 2) and ours["dice"].n == 2
    assert ours[BOTH].value == pytest.approx(2 / 3) and ours[BOTH].n == 1
    assert theirs["dice"].value == pytest.approx((2 / 3 + 0 + 1) / 3) and theirs["dice"].n == 3
    assert scores.protocols[1].per_class["Cortex"]["dice"].value == 1  # nobody drew any
    assert scores.protocol.per_class["Cortex"]["dice"].value is None
    assert ours["dice"].low is None and "got 2" in ours["dice"].interval


def test_what_one_has_not_drawn_counts_nowhere_where_it_is_unknown(root):
    scores = agreement(root, "usbench", "kidneyus", undrawn="unknown")
    for protocol in scores.protocols:
        assert protocol.per_class["Capsule"]["dice"].value == pytest.approx(2 / 3)
        assert (
            protocol.per_class["Capsule"]["dice"].n == 1
            and protocol.per_class["Cortex"]["dice"].value is None
        )


def test_a_dataset_of_one_annotator_is_refused():
    with pytest.raises(ConfigError, match="expected a dataset of two annotators"):
        as_two_annotators(object(), "usgra")  # type: ignore[arg-type]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "usbench", "interrater", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.process
def test_the_script_keeps_an_unranked_row(root, tmp_path):
    arguments = [
        f"dataset.root={root}",
        f"results={tmp_path / 'results'}",
        "--json",
        str(tmp_path / "copy.json"),
    ]
    done = run("dataset=kidney", *arguments)
    assert done.returncode == 0 and "Central Echo Complex" in done.stdout, done.stderr
    [result] = load_results(tmp_path / "results")
    assert result.origin == "human" and result.seed is None and not result.data.phantom
    path = result_path(tmp_path / "results", result)
    assert (tmp_path / "copy.json").read_bytes() == path.read_bytes()
    assert path.name == f"human-agreement-{result.run_id}.json"
    case_ids = {case["case"] for case in load_cases(path)}
    assert {len(case_id) for case_id in case_ids} == {12}  # hashed: redistribute is none
    rows = build_rows([result], [])
    assert {row.protocol for row in rows} == {"usbench", "pooled", "measure", "kidneyus"}
    assert rows[0].name == "human agreement"
    assert rows[0].note.startswith("unranked; annotator 1 against 2 on all 3 images of 3 groups")
    before = path.read_bytes()
    assert run("dataset=kidney", *arguments).returncode == 0 and path.read_bytes() == before


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["dataset=usgra", "dataset.root={tmp}"], 2, "expected a dataset of two annotators"),
        (["dataset=nnus", "dataset.root={tmp}"], 2, "expected masks by two annotators"),
        (["dataset=kidney", "dataset.root={tmp}"], 1, "no annotator's labels found"),
        (["dataset=kidney", "data={tmp}/none"], 1, "no kidney release found"),
        ([], 2, "expected dataset="),
        (["dataset=kidney", "nonsense=1"], 2, "nonsense"),
    ],
)
def test_the_script_refuses_with_one_line(arguments, code, says, tmp_path):
    done = run(*(argument.format(tmp=tmp_path) for argument in arguments))
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
    root = Path(str(REAL)) / "kidney"
    agreement = score_agreement(chosen, root, ["usbench", "kidneyus"])
    scores = agreement.scores
    assert len(agreement.records) == 514 and len({case["group"] for case in scores.cases}) == 501
    by_class = scores.protocols[1].per_class
    measured = {
        "Capsule": 0.9497,
        "Central Echo Complex": 0.8797,
        "Medulla": 0.7913,
        "Cortex": 0.7318,
    }
    for name, dice in measured.items():  # the complex: .0003 apart, the others to four digits
        assert by_class[name]["dice"].value == pytest.approx(dice, abs=5e-4), name
    both = [scores.protocol.per_class[name][BOTH].value for name in ANATOMY]
    assert both == pytest.approx([0.9469, 0.8715, 0.6926, 0.5979], abs=5e-4)
    figure = scores.protocol.scores["dice"]
    assert figure.low < figure.value < figure.high and figure.high - figure.low < 0.04
    assert np.isclose(
        scores.protocols[1].scores["dice"].value,
        np.mean([f["dice"].value for f in by_class.values()]),
    )
