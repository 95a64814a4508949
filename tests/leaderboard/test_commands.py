"""The commands that make a row of the leaderboard again."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace

import pytest

from tests.helpers.paths import ROOT
from tests.leaderboard.page.site import DATASETS, OVERRIDES, RESULTS, RUNS, UNETS
from tests.leaderboard.test_leaderboard import make_result, rows
from usbench.datasets.config import DatasetConfig
from usbench.leaderboard import commands
from usbench.leaderboard.commands import RunCommand
from usbench.leaderboard.recipes import read_configs
from usbench.results.result import Result, Tuned
from usbench.runner.overrides import overrides_to_keep
from usbench.runner.resolve import resolve_model

SHIPPED = read_configs(ROOT / "conf")


def made_by(compose, *overrides, asked=None):
    """A result as a run with these overrides would leave it, as far as its command goes.

    asked: the overrides of a command that stand in the result; None: an older result without them.
    """
    config = compose(*overrides, "source=phantom")
    dataset = DatasetConfig.from_mapping(config["dataset"])
    recipe, model = resolve_model(config, dataset, real=True)
    content = make_result(
        dataset=config["dataset"]["name"],
        task=config["model"]["task"],
        model=model.name,
        recipe=recipe,
        seed=config["seed"],
        fold=config["fold"],
        precision="fp32",
        config={"model": asdict(model), "dataset": config["dataset"]},
    )
    if asked is not None:
        content["config"]["overrides"] = list(overrides_to_keep(asked))
    return Result.from_json({**content, "run_id": "k"})


OWN = ["dataset=usgra", "model=unet"]


@pytest.mark.parametrize(
    ("overrides", "more"),
    [
        (OWN, []),
        (
            [*OWN, "model.recipes.standard.lr=0.001", "model.build.encoder=resnet34"],
            ["encoder=resnet34", "lr=0.001"],
        ),
        ([*OWN, "model.recipes.standard.augment.rotate=5"], ["rotate=5"]),
        (
            [*OWN, "++model.recipes.standard.micro_batch=2"],
            ["++model.recipes.standard.micro_batch=2"],
        ),
        ([*OWN, "model.recipes.standard.size=128"], ["size=[128,128]"]),
        (["dataset=usgra", "model=yolov8", "seed=3"], []),
        (
            ["dataset=kidney", "model=unet", "dataset.annotator=2", "fold=1"],
            ["dataset.annotator=2"],
        ),
        (["dataset=spinal", "model=unet_kumar2025"], []),
    ],
)
def test_a_result_s_command_gives_its_run_again(compose, overrides, more):
    result = made_by(compose, *overrides)
    ((_, run),) = commands.find_commands([result], SHIPPED, SHIPPED).items()
    assert run.overrides is not None and run.overrides[:2] == (overrides[0], "source=real")
    assert len(run.overrides) == 5 + len(more) and all(
        any(w.endswith(m) for w in run.overrides) for m in more
    )
    again = made_by(
        compose,
        *run.overrides[:1],
        *run.overrides[2:],
        f"seed={run.seed}",
        *([] if run.fold is None else [f"fold={run.fold}"]),
    )
    assert again == result


@pytest.mark.parametrize(
    "change",
    [
        {"model": "a-lab's own"},
        {"tuned": Tuned("x", 3, 0, 0.5, {}, (0,))},
        {"recipe": "gone"},
    ],
)
def test_a_result_that_no_short_command_describes_has_none(compose, change):
    result = replace(made_by(compose, *OWN), **change)
    (command,) = commands.find_commands([result], SHIPPED, SHIPPED).values()
    assert command == RunCommand(None, 0, None, reproducible=True) and command.notes() == []


RINGS = {"dataset": "rings", "model": "threshold"}


@pytest.mark.parametrize(
    ("asked", "names", "expected"),
    [
        ([*OWN, "seed=3", "results=/home/me/results"], {}, []),
        ([*OWN, "model.recipes.standard.lr=0.001"], {}, ["model.recipes.standard.lr=0.001"]),
        ([*OWN, "dataset.split.val_share=0.3"], {}, ["dataset.split.val_share=0.3"]),
        (
            [*OWN, "dataset.root=/home/me/usgra", "metric.primary=iou"],
            {},
            ["dataset.root=DIR", "metric.primary=iou"],
        ),
        ([*OWN, "metric=area"], {}, ["metric=area", "--config-dir DIR"]),
        (
            ["dataset=rings", "model=threshold", "metric=area", "epochs=3"],
            RINGS,
            ["epochs=3", "metric=area", "--config-dir DIR"],
        ),
        (
            ["dataset=folder", "dataset.name=liver", 'dataset.group="^(p\\d+)_"', "model=unet"],
            {"dataset": "liver"},
            ["dataset.name=liver", 'dataset.group="^(p\\d+)_"'],
        ),
    ],
)
def test_a_command_has_what_was_asked_for_and_no_folder(compose, asked, names, expected):
    known = [word for word in asked if word.startswith("model.")]
    result = replace(made_by(compose, *OWN, *known, asked=asked), **names)
    (run,) = commands.find_commands([result], SHIPPED, SHIPPED).values()
    arguments = shlex.split(commands.result_command(result, run))
    option = ["--config-dir", "DIR"] if "--config-dir DIR" in expected else []
    chosen = [
        next(word for word in asked if word.startswith(key)) for key in ("dataset=", "model=")
    ]
    assert arguments == [
        *["python", "-m", "usbench", *option, chosen[0], "source=real", chosen[1]],
        *["recipe=standard", "precision=fp32"],
        *[word for word in expected if word != "--config-dir DIR"],
        "seed=0",
    ]
    assert "/home/me" not in repr(result)


def test_the_words_of_a_command_are_explained(compose):
    asked = ["dataset=rings", "dataset.root=/home/me/rings", "model=unet", "metric=area"]
    asked.append("model.build.weights=/home/me/best.pt")
    result = replace(made_by(compose, *OWN, asked=asked), dataset="rings")
    weights = {"from": "best.pt", "sha256": "ab"}
    result = replace(result, config={**result.config, "weights": weights})
    (run,) = commands.find_commands([result], SHIPPED, SHIPPED).values()
    assert run.own_files == ("dataset/rings.yaml", "metric/area.yaml")
    folder, root, path = run.notes()
    assert "holds dataset/rings.yaml and metric/area.yaml" in folder
    assert root.startswith("The DIR of dataset.root") and path.startswith("PATH: a file")
    assert "model.build.weights=PATH" in (run.overrides or ())
    command = commands.reproduce_command("k", run, ("--data", "data"))
    assert command == "usbench reproduce k --root DIR --weights FILE"


def test_other_results_on_a_dataset_of_one_s_own_need_its_configuration(compose):
    result = replace(made_by(compose, *OWN), dataset="rings", origin="baseline")
    (command,) = commands.find_commands([result], SHIPPED, SHIPPED).values()
    expected = "usbench sanity dataset=rings task=segment source=real --config-dir DIR"
    assert commands.result_command(result, command) == expected


def test_commands_of_rows():
    by_name = {(row.origin, row.name, row.protocol): row for row in rows(RESULTS, DATASETS)}
    by_row = {
        place[:2]: commands.row_command(row, RUNS)
        for place, row in by_name.items()
        if place[2] != "kumar2025-cnn" or place[0] == "published"
    }
    assert by_row["baseline", "prior"] == "usbench sanity dataset=spinal task=segment source=real"
    assert by_row["human", "human agreement"] == "usbench interrater dataset=spinal"
    assert (
        by_row["published", "U-Net"]
        == "python -m usbench dataset=spinal source=real model=unet recipe=kumar2025"
    )
    assert by_row["published", "Old net"] == "" and by_row["run", "tiny"] == ""
    theirs = replace(
        by_name["published", "U-Net", "kumar2025-cnn"], dataset="spinal_human", trained_on="spinal"
    )
    assert commands.row_command(theirs, {}).endswith(
        "recipe=kumar2025 'evaluate_on=[spinal_human]'"
    )
    outside = replace(by_name["baseline", "prior", "usbench"], origin="external", model="our model")
    expected = (
        "usbench score --task segment --dataset spinal --predictions PREDICTIONS --name 'our model'"
    )
    assert commands.row_command(outside, {}) == expected
    folds = {UNETS[n]: RunCommand(OVERRIDES, 0, n) for n in range(2)}
    assert commands.row_command(by_name["run", "unet", "usbench"], folds).endswith(
        "-m dataset=spinal source=real model=unet recipe=kumar2025 precision=bf16 seed=0 fold=0,1"
    )
