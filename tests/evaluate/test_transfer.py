"""A trained model on another dataset: names are matched, boxes and masks translated by hand, a row
of its own."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path
from unittest.mock import patch  # of the command line alone

import numpy as np
import pytest

from usbench.__main__ import main
from usbench.cli import evaluate, leaderboard
from usbench.datasets.dataset import select_classes
from usbench.errors import ConfigError
from usbench.evaluate.rescore import rescore
from usbench.results.result import Result
from usbench.results.store import load_result, result_path
from usbench.runner.config import read_config
from usbench.runner.transfer import ClassMap, match_classes
from usbench.types import OFF, SEEN, Boxes, Landmarks, Masks

# ---- names


def test_names_are_matched_as_said_else_by_themselves():
    model_classes, dataset_classes = ["cord", "dura", "pia"], ["pia", "spinal cord", "bone"]
    assert match_classes(model_classes, dataset_classes, {}) == {"pia": "pia"}
    both = match_classes(model_classes, dataset_classes, {"cord": "spinal cord", "dura": "pia"})
    assert both == {"pia": "pia", "cord": "spinal cord", "dura": "pia"}


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"chord": "pia"}, r"expected one of the model's classes \(cord, pia\), got 'chord'"),
        ({"cord": "bones"}, r"expected one of its classes \(pia, bone\), got 'bones'"),
    ],
)
def test_a_name_that_either_side_lacks_is_refused(stated, message):
    with pytest.raises(ConfigError, match=message):
        match_classes(["cord", "pia"], ["pia", "bone"], stated)


# ---- predictions, by hand: the model's class 0 counts as 1, 1 as nothing, 2 and 3 as 0

TARGETS = np.array([1, -1, 0, 0])
CLASS_MAP = ClassMap(TARGETS, 2, exclusive=False)


def test_boxes_change_their_labels_or_go():
    xyxy = np.arange(16, dtype=np.float32).reshape(4, 4)
    prediction = Boxes(xyxy, np.array([0, 1, 2, 3]), np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    (mapped,) = CLASS_MAP.apply([prediction])
    assert mapped.labels.tolist() == [1, 0, 0] and mapped.xyxy.tolist() == xyxy[[0, 2, 3]].tolist()
    assert mapped.scores.tolist() == np.float32([0.1, 0.3, 0.4]).tolist()


@pytest.mark.parametrize(("exclusive", "probability"), [(True, 0.7), (False, 0.4)])
def test_masks_that_count_as_one_are_united(exclusive, probability):
    planes = np.zeros((4, 1, 3), bool)
    planes[0, 0, 0] = planes[1, 0, 1] = planes[2, 0, 1] = planes[3, 0, 2] = True
    probabilities = np.array([0.2, 0.9, 0.3, 0.4], np.float32)[:, None, None] * np.ones(
        (1, 1, 3), np.float32
    )
    prediction = Masks(
        planes, np.array([0.8, 0.9, 0.5, 0.7], np.float32), probabilities=probabilities
    )
    (mapped,) = ClassMap(TARGETS, 2, exclusive).apply([prediction])
    assert mapped.planes[:, 0].tolist() == [[False, True, True], [True, False, False]]
    assert mapped.scores == pytest.approx([0.6, 0.8])
    assert mapped.probabilities[:, 0, 0] == pytest.approx([probability, 0.2])


def test_landmarks_keep_the_first_of_several():
    paths = tuple(np.full((1, 2), n, np.float32) for n in range(4))
    prediction = Landmarks(
        paths,
        np.array([SEEN, SEEN, OFF, SEEN], np.int8),
        np.array([0.9, 0.8, 0.2, 0.7], np.float32),
    )
    (mapped,) = CLASS_MAP.apply([prediction])
    assert [path[0, 0] for path in mapped.paths] == [2, 0] and mapped.state.tolist() == [OFF, SEEN]
    assert mapped.scores == pytest.approx([0.2, 0.9])


def test_a_target_keeps_the_classes_that_are_scored():
    boxes = Boxes(np.arange(12, dtype=np.float32).reshape(3, 4), np.array([0, 1, 2]))
    assert (
        select_classes(boxes, (2, 0)).labels.tolist() == [1, 0]
        and len(select_classes(boxes, (2, 0)).xyxy) == 2
    )
    masks = Masks(
        np.arange(3)[:, None, None] == np.ones((3, 2, 2)), known=np.array([True, False, True])
    )
    assert select_classes(masks, (1, 2)).planes.any((1, 2)).tolist() == [True, False]
    assert select_classes(masks, (1, 2)).known.tolist() == [False, True]


# ---- the command, the script, the leaderboard


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder, exit) of spinal's net trained for two tiny epochs and scored on the human phantom
    too."""
    folder = tmp_path_factory.mktemp("transfer")
    overrides = ["dataset=spinal", "evaluate_on=[spinal_human]", *common(folder)]
    assert run(*overrides) == 0
    return folder


def common(folder: Path) -> list[str]:
    sizes = ["dataset.phantom.size=[96,128]", "dataset.phantom.per_group=1"]
    return [
        *(
            "model=unet",
            "recipe=tiny",
            "source=phantom",
            "tracking=none",
            "device=cpu",
            "threads=1",
            *sizes,
        ),
        *(f"runs={folder}/runs", f"results={folder}/results"),
    ]


def run(*overrides: str) -> int:
    """`python -m usbench` in this process; its exit code."""
    with patch.object(sys, "argv", ["usbench", *overrides]):
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
        finally:
            for logger in logging.root.manager.loggerDict.values():
                if isinstance(logger, logging.Logger):
                    logger.disabled = (
                        False  # Hydra's logging configuration switches those off that are there
                    )
    return 0


def result_of(folder: Path, dataset: str) -> Result:
    (path,) = (folder / "results" / "phantom" / dataset / "segment").glob("*.json")
    return load_result(path)


@pytest.mark.process
def test_the_evaluation_is_a_row_of_the_other_dataset(trained):
    ours, there = result_of(trained, "spinal"), result_of(trained, "spinal_human")
    assert there.trained_on == "spinal" and there.data.counts == {"test": 24}
    assert (there.model, there.seed, there.recipe) == ("unet", 0, "tiny")
    assert there.run_id != ours.run_id and there.validation == ours.validation
    assert "trained on spinal alone" in there.protocol.description
    others = {protocol.name for protocol in there.protocols[1:]}
    assert others >= {"kumar2025-cnn", "kumar2025-transformer"}
    path = result_path(trained / "results", there)
    again, _ = rescore(there, path, trained / "runs")
    assert again.protocol == there.protocol
    assert not list((trained / "runs" / there.run_id).glob("best.*"))  # nothing was trained


@pytest.mark.process
def test_the_leaderboard_has_a_transfer_table(trained):
    assert leaderboard.main(["--results", str(trained / "results"), "--phantom"]) == 0
    text = (trained / "results" / "phantom" / "LEADERBOARD.md").read_text()
    table = text.partition("## Transfer")[2]
    ours, there = result_of(trained, "spinal"), result_of(trained, "spinal_human")
    line = next(line for line in table.splitlines() if "| unet | tiny | spinal |" in line)
    for figure in (ours.primary.value, there.primary.value):
        assert f"{figure:.3f}".removeprefix("0") in line


@pytest.mark.process
def test_the_script_finds_what_is_done_and_makes_the_same_again(trained, tmp_path, capsys):
    run_id, there = result_of(trained, "spinal").run_id, result_of(trained, "spinal_human")
    arguments = [
        run_id,
        "--results",
        f"{trained}/results",
        "--runs",
        f"{trained}/runs",
        "dataset=spinal_human",
    ]
    arguments += ["source=phantom", "tracking=none", "threads=1"]
    assert evaluate.main([*arguments, "--json", str(tmp_path / "out.json")]) == 0
    assert "done already" in capsys.readouterr().out
    copy = tmp_path / "results"
    shutil.copytree(trained / "results", copy)
    (result_file,) = (copy / "phantom" / "spinal_human" / "segment").glob("*.json")
    result_file.unlink()
    assert (
        evaluate.main([*arguments, "--results", str(copy), "--json", str(tmp_path / "out.json")])
        == 0
    )
    made = json.loads((tmp_path / "out.json").read_text())
    assert Result.from_json(made).scores == there.scores and made["run_id"] == there.run_id


@pytest.mark.process
def test_what_cannot_be_evaluated_is_refused_before_anything_is_trained(trained, tmp_path, capsys):
    for overrides, code, says in (
        (["dataset=spinal_human"], 2, "it has test images only"),
        (["dataset=spinal", "evaluate_on=[usgra]"], 2, "expected a class of spinal"),
        (["dataset=spinal", "evaluate_on=[spinal]"], 2, "expected another dataset"),
        (["dataset=spinal", "evaluate_on=spinal_human"], 2, "expected a list of datasets"),
        (["dataset=spinal", "evaluate_on=[nowhere]"], 2, "nowhere"),
    ):
        assert run(*overrides, *common(tmp_path)) == code
        lines = capsys.readouterr().err.splitlines()
        messages = [line for line in lines if not line.startswith("phantom: ")]  # no progress
        assert len(messages) == 1 and says in messages[0], lines
    assert not list(tmp_path.glob("runs/*/best.*"))
    run_id = result_of(trained, "spinal").run_id
    there = result_of(trained, "spinal_human").run_id
    for result, runs, says in (
        (run_id, tmp_path / "none", "no run of this result found"),
        (there, None, "trained here"),
    ):
        overrides = [
            result,
            "dataset=spinal_human",
            "source=phantom",
            "--results",
            f"{trained}/results",
        ]
        assert evaluate.main([*overrides, "--runs", str(runs or trained / "runs")]) in (1, 2)
        assert says in capsys.readouterr().err


@pytest.mark.process
def test_weights_that_are_gone_are_named(trained, tmp_path, capsys):
    runs, run_id = tmp_path / "runs", result_of(trained, "spinal").run_id
    shutil.copytree(trained / "runs", runs)
    for path in (runs / run_id).glob("best.*"):
        path.unlink()
    overrides = [
        run_id,
        "dataset=spinal_human",
        "source=phantom",
        "--results",
        f"{trained}/results",
        "--runs",
        str(runs),
    ]
    overrides += ["tracking=none", "overwrite=true"]
    assert evaluate.main(overrides) == 1
    assert read_config(runs / run_id / "config.yaml").run_id == run_id
