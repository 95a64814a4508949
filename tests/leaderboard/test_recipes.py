"""A run whose recipe was altered says so, and isn't compared with what used the recipe as it is."""

from __future__ import annotations

import pytest

from tests.leaderboard.test_leaderboard import by_the_paper, make_result, markdown_of, paper
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.columns import score_columns
from usbench.leaderboard.commands import model_overrides
from usbench.leaderboard.csv_file import to_csv
from usbench.leaderboard.published import DatasetSummary
from usbench.leaderboard.recipes import describe_alterations, format_setting, read_configs
from usbench.leaderboard.series import differences
from usbench.results.result import Result

RECIPE = {"epochs": 60, "lr": "2e-3", "size": 128, "augment": {"hflip": 0.5, "rotate": 15}}
YAML = {
    "version": 1,
    "defaults": [{"/metric@_global_.metric": "segment"}, "_self_"],
    "build": {"_target_": "nets.Net", "encoder": "resnet18", "weights": None},
    "recipes": {"quick": {**RECIPE, "note": "two minutes"}},
}
DATASET = {"size": [100, 200]}
# As a run resolves them: lr is a number, the size fits the images.
USED_RECIPE = {**RECIPE, "lr": 0.002, "size": [96, 192]}
USED_BUILD = {"_target_": "moved.Net", "encoder": "resnet18", "weights": None}


def run_of(recipe=None, build=None, name="quick", version=1, **changes):
    """A run that takes the YAML as it is, but for some values."""
    model = {
        "version": version,
        "recipe": {**USED_RECIPE, **(recipe or {})},
        "build": {**USED_BUILD, **(build or {})},
    }
    return Result.from_json(make_result(recipe=name, config={"model": model}, **changes))


def described(result, model=None, dataset=None):
    configs = {"model": {"unet": model or YAML}, "dataset": {"spinal": dataset or DATASET}}
    return describe_alterations([result], configs).get(result.run_id, "")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (run_of(), ""),
        (run_of({"epochs": 3, "lr": 0.01}), "epochs 3, lr .01"),
        (run_of({"augment": {"hflip": 0.5}}), "no augment.rotate"),
        (run_of({"epoch": 3}), "epoch 3"),
        (run_of({"size": [32, 64]}), "size [32, 64]"),
        (run_of(build={"encoder": "resnet34"}), "encoder resnet34"),
        (run_of(dict.fromkeys("abcdef", 9)), "a 9, b 9, c 9, d 9, 2 more"),
        (run_of({"loss": {"_target_": "lab.losses.Tversky"}}), "loss Tversky"),
        (
            run_of({"epochs": 3, "loss": {"_target_": "lab.Tversky", "beta": 0.7, "on": True}}),
            "epochs 3, loss Tversky(beta .7, on true)",
        ),
        (run_of({"augment": {"_target_": "lab.blur", "_partial_": True}}), "augment blur"),
        (run_of({"loss": {"_target_": "lab.Tversky"}}, version=2), "loss Tversky"),
        (run_of({"epochs": 3}, name="a lab's"), ""),  # no such recipe in the YAML
        (run_of({"epochs": 3}, origin="external"), ""),
        (run_of({"epochs": 3, "new": 1}, version=2), "epochs 3"),  # other code has other keys
    ],
)
def test_what_was_altered(result, text):
    assert described(result) == text


def test_a_class_that_the_yaml_names_is_not_altered():
    tversky = {"_target_": "lab.Tversky", "beta": 0.7}
    model = {**YAML, "recipes": {"quick": {**RECIPE, "loss": tversky}}}
    assert described(run_of({"loss": tversky}), model) == ""
    assert described(run_of({"loss": {**tversky, "beta": 1}}), model) == "loss Tversky(beta 1)"


@pytest.mark.parametrize(
    ("recipe", "others", "parts"),
    [
        ({"epochs": 30}, [{}], ["epochs=30"]),
        (
            {"epochs": 30, "loss": {"_target_": "lab.losses.Tversky"}},
            [{}],
            ["epochs=30", "loss=Tversky"],
        ),
        ({"loss": {"_target_": "lab.Tversky", "beta": 0.7}}, [{}], ["loss=Tversky(beta .7)"]),
        ({}, [{"loss": {"_target_": "lab.Tversky", "beta": 0.7}}], ["loss=built-in"]),
        (
            {"augment": {"_target_": "lab.Speckle"}, "loss": {"_target_": "lab.Tversky"}},
            [{}, {"epochs": 30}],
            ["augment=Speckle", "epochs=60", "loss=Tversky"],
        ),
        (
            {"loss": {"_target_": "lab.Tversky", "beta": 0.7}},
            [{"loss": {"_target_": "lab.Tversky", "beta": 0.5}}],
            ["loss=Tversky(beta .7)"],
        ),
    ],
)
def test_the_name_of_a_row_tells_recipes_apart(recipe, others, parts):
    assert differences(run_of(recipe), [run_of(other) for other in others]) == parts


def test_a_class_of_one_s_own_is_in_the_command_that_makes_the_row():
    model = {"version": 1, "build": USED_BUILD, "recipe": USED_RECIPE}
    model["recipe"] = {**USED_RECIPE, "augment": {"_target_": "lab.Speckle", "strength": 0.2}}
    assert list(model_overrides(model, {**YAML, "build": USED_BUILD}, "quick", [100, 200])) == [
        "augment={_target_:'lab.Speckle',strength:0.2}",
        "model.recipes.quick.lr=0.002",
    ]


def test_a_yaml_that_builds_on_another_one_tells_nothing():
    assert described(run_of({"epochs": 3}), {**YAML, "defaults": ["unet_base", "_self_"]}) == ""
    assert described(run_of({"epochs": 3}), {**YAML, "defaults": [{"model": "base"}]}) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01, ".01"), (1.5, "1.5"), (True, "true"), (None, "none"), ([1, 2], "[1, 2]")],
)
def test_settings_as_text(value, text):
    assert format_setting(value) == text


def test_the_leaderboard_shows_what_was_altered():
    plain, changed = run_of(), run_of({"epochs": 3}, seed=1)
    all_rows = build_rows([plain, changed], [], altered={changed.run_id: "epochs 3"})
    column = score_columns(all_rows)[2]
    assert sorted(map(column.text, all_rows)) == ["quick", "quick (epochs 3)"]
    assert "| quick (epochs 3) |" in markdown_of(all_rows, [])
    assert ",quick,epochs 3," in to_csv(all_rows)


def test_an_altered_recipe_is_not_the_published_one():
    result = Result.from_json(make_result(protocols={"kumar2025-cnn": by_the_paper(0.55)}))
    datasets = [DatasetSummary("spinal", published=(paper(),))]

    def marks(altered):
        all_rows = build_rows([result], datasets, altered=altered)
        return next(
            row.marks for row in all_rows if row.against == "U-Net" and row.protocol != "usbench"
        )

    assert marks({}) == ()
    assert marks({result.run_id: "epochs 3"}) == ("≠ recipe",)


def test_a_later_folder_of_configuration_wins(tmp_path):
    for name, epochs in (("a", 1), ("b", 2)):
        (tmp_path / name / "model").mkdir(parents=True)
        (tmp_path / name / "model" / "net.yaml").write_text(f"epochs: {epochs}")
    assert read_configs(tmp_path / "a", tmp_path / "b")["model"]["net"] == {"epochs": 2}
