"""The recipe keys that models declare: tables of good and bad recipes, and of what is said."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from usbench.errors import ConfigError
from usbench.io.config import conf_dir
from usbench.models import optimise
from usbench.models.detector.recipe import KEYS as DETECTOR
from usbench.models.detector.recipe import SSD
from usbench.models.heatmap.recipe import KEYS as HEATMAP
from usbench.models.loop_keys import OPTIMISERS, SEGMENTER, SMP
from usbench.models.nnunet.recipe import KEYS as NNUNET
from usbench.models.recipe_keys import (
    REQUIRED,
    Keys,
    Section,
    check_recipe,
    fill_defaults,
    infer_keys,
    rename_spellings,
)
from usbench.models.yolo.recipe import BOXES, POINTS, QUERIES
from usbench.runner.recipes import load_recipe_keys, read_recipes

TABLES: dict[str, Keys] = {
    "smp": SMP,
    "segmenter": SEGMENTER,
    "detector": DETECTOR,
    "ssd": SSD,
    "heatmap": HEATMAP,
    "nnunet": NNUNET,
    "boxes": BOXES,
    "queries": QUERIES,
    "points": POINTS,
}
LOOP_RECIPE = {
    "size": 64,
    "epochs": 2,
    "batch": 4,
    "lr": 1e-3,
    "weight_decay": 0,
    "schedule": "onecycle",
}
YOLO_RECIPE = {"imgsz": 64, "epochs": 2, "batch": 4, "optimizer": "AdamW", "lr0": 1e-3}
RECIPES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(TABLES, LOOP_RECIPE),
    "heatmap": {**LOOP_RECIPE, "sd_point": 2, "sd_curve": 1.5},
    "nnunet": {"epochs": 2},
    **dict.fromkeys(("boxes", "queries", "points"), YOLO_RECIPE),
}
MODELS = sorted(path.stem for path in (conf_dir() / "model").glob("*.yaml"))


def load_model(name: str) -> dict[str, Any]:
    """A model's YAML."""
    node: Any = OmegaConf.to_container(OmegaConf.load(conf_dir() / "model" / f"{name}.yaml"))
    return node


def check(table: str, **changes: object) -> None:
    check_recipe({**RECIPES[table], **changes}, TABLES[table], table)


@pytest.mark.parametrize("name", MODELS)
def test_the_recipes_of_every_model_have_declared_keys_and_values(name):
    model = load_model(name)
    assert load_recipe_keys(model) in TABLES.values()
    assert read_recipes(model) == model["recipes"]  # our spelling everywhere


def every_key(keys: Keys, prefix: str = "") -> list[tuple[str, Any]]:
    rows = []
    for name, key in keys.items():
        rows.append((f"{prefix}{name}", key))
        if isinstance(key.kind, Section):
            rows += every_key(key.kind.keys, f"{prefix}{name}.")
    return rows


@pytest.mark.parametrize("table", TABLES)
def test_every_key_has_a_meaning_and_a_default_that_it_allows(table):
    for name, key in every_key(TABLES[table]):
        assert key.meaning, name
        if key.default is not REQUIRED and key.default is not None:
            assert key.kind.accepts(key.default), name
    check(table)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("smp", {"size": [64, 96]}),
        ("smp", {"optimizer": "sgd", "momentum": 0.5}),
        ("smp", {"schedule": "step", "step_at": 60}),
        ("smp", {"micro_batch": 2}),
        ("smp", {"micro_batch": None}),
        ("smp", {"options": {"anything": [1, 2]}}),
        ("smp", {"chain": {"hflip": 0.5}, "loss": {"ce": 1}}),
        ("smp", {"augment": {}, "note": "text", "unstated": ["weights"]}),
        ("ssd", {"size": [300, 300]}),
        ("detector", {"turn": 0.5, "size": [64, 64], "blur": {"median": 0.1}}),
        ("nnunet", {"lr": None, "augment": {}, "mirror": []}),
        ("nnunet", {"size": [64, 96], "features": [4, 8, 8]}),
        ("boxes", {"freeze": [0, 1], "lrf": 1}),
        ("queries", {"options": {"width": 64}}),
        ("points", {"kobj": 12.0}),
    ],
)
def test_a_recipe_that_can_be(table, change):
    check(table, **change)


@pytest.mark.parametrize(
    ("table", "change", "says"),
    [
        ("smp", {"epochs": 0}, "recipe.epochs=0: expected a whole number of 1 or more, got 0"),
        ("smp", {"epochs": -1}, "epochs=-1: expected"),
        ("smp", {"epochs": 1.5}, "epochs=1.5: expected a whole number of 1 or more, got 1.5"),
        ("smp", {"epochs": "many"}, "epochs=many: expected"),
        ("smp", {"epochs": True}, "epochs=true: expected"),
        ("smp", {"epochs": None}, "epochs=null: expected a whole number of 1 or more, got null"),
        ("smp", {"batch": 0}, "batch=0: expected a whole number of 1 or more"),
        ("smp", {"batch": -4}, "batch=-4: expected"),
        ("smp", {"lr": 0}, "lr=0: expected a number above 0"),
        ("smp", {"lr": -1e-3}, "lr=-0.001: expected"),
        ("smp", {"lr": "fast"}, "lr=fast: expected a number above 0, got fast"),
        ("smp", {"lr": float("nan")}, "lr=.nan: expected"),
        ("smp", {"lr": float("inf")}, "lr=.inf: expected"),
        ("smp", {"size": 0}, "size=0: expected a whole number of 32 or more, or a list of 2"),
        ("smp", {"size": []}, "size=[]: expected"),
        ("smp", {"size": [64]}, "size=[64]: expected"),
        ("smp", {"size": [64, 60]}, "size=[64, 60]: expected"),
        ("smp", {"size": None}, "size=null: expected"),
        ("smp", {"weight_decay": -1}, "weight_decay=-1: expected a number of 0 or more"),
        ("smp", {"optimizer": "sdg"}, "expected one of adamw, radam, sgd, got sdg; did you mean sgd"),
        ("smp", {"schedule": "onecyle"}, "did you mean onecycle?"),
        ("smp", {"schedule": "step"}, "recipe.step_at=null: expected the number of epochs"),
        ("smp", {"shuffle": "no"}, "shuffle='no': expected true or false"),
        ("smp", {"augment": {"hflip": 1.5}}, "recipe.augment.hflip=1.5: expected a number from 0 to 1"),
        ("smp", {"augment": {"hflip": -0.1}}, "augment.hflip=-0.1: expected"),
        ("smp", {"augment": None}, "augment=null: expected keys with values"),
        ("smp", {"augment": {"rotat": 5}}, "'augment.rotat' for smp; did you mean 'augment.rotate'?"),
        ("smp", {"chain": {"mixup": 0.5}}, "unknown recipe key 'chain.mixup'"),
        ("smp", {"chain": {"hflip": 0.5}, "augment": {}}, "expected augment or chain, got both"),
        ("smp", {"loss": {"focal": 1}}, "unknown recipe key 'loss.focal'"),
        ("smp", {"loss": {"ce": 0}}, "recipe.loss={ce: 0, dice: 0.0}: expected a weight above 0"),
        ("smp", {"loss": {"ce": -1, "dice": 1}}, "loss.ce=-1: expected a number of 0 or more"),
        ("smp", {"normalise": {"mean": [0.5]}}, "recipe.normalise: expected a key 'sd'"),
        ("smp", {"micro_batch": 3}, "recipe.micro_batch=3: expected a divisor of batch=4"),
        ("smp", {"micro_batch": 8}, "recipe.micro_batch=8: expected a divisor of batch=4"),
        ("smp", {"micro_batch": 2.0}, "micro_batch=2.0: expected a whole number"),
        ("smp", {"epoch": 3}, "unknown recipe key 'epoch' for smp; did you mean 'epochs'? (usbench keys"),
        ("smp", {"learning_rate": 1}, "'learning_rate' for smp; did you mean 'lr'?"),
        ("smp", {"rotate": 5}, "'rotate' for smp; did you mean 'augment.rotate'?"),
        ("segmenter", {"encoder": "resnet18"}, "unknown recipe key 'encoder'"),
        ("smp", {"unstated": "weights"}, "unstated=weights: expected a list"),
        ("detector", {"turn": 0.5, "size": [64, 96]}, "turn=0.5: expected 0, or a square size"),
        ("detector", {"blur": {"gauss": 0.5}}, "unknown recipe key 'blur.gauss'"),
        ("heatmap", {"sd_curve": 0}, "sd_curve=0: expected a number above 0"),
        ("nnunet", {"features": [8, 8, 8]}, "expected null; or state size with it"),
        ("nnunet", {"spacing": 0}, "spacing=0: expected"),
        ("boxes", {"lr": 1e-3}, "'lr' for boxes; did you mean 'lr0'?"),
        ("boxes", {"optimizer": "adamw"}, "did you mean AdamW?"),
        ("boxes", {"augment": {"mosaic": 2}}, "mosaic=2: expected a number from 0 to 1"),
        ("queries", {"rect": True}, "unknown recipe key 'rect'"),
        ("points", {"augment": {"mixup": 0.1}}, "unknown recipe key 'augment.mixup'"),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_be_is_one_line(table, change, says):
    with pytest.raises(ConfigError) as wrong:
        check(table, **change)
    assert says in str(wrong.value) and "\n" not in str(wrong.value)


@pytest.mark.parametrize("table", TABLES)
def test_a_key_without_a_default_is_required(table):
    for name in RECIPES[table]:
        recipe = {key: value for key, value in RECIPES[table].items() if key != name}
        if TABLES[table][name].default is REQUIRED:
            with pytest.raises(ConfigError, match=f"recipe: expected a key '{name}'"):
                check_recipe(recipe, TABLES[table], table)


def test_what_the_build_takes_is_required_where_the_build_leaves_it_null():
    check_recipe(LOOP_RECIPE, SMP, "unet", build={"encoder": "resnet18"})
    check_recipe({**LOOP_RECIPE, "encoder": "resnet18"}, SMP, "unet", build={"encoder": None})
    with pytest.raises(ConfigError, match="expected a key 'encoder'"):
        check_recipe(LOOP_RECIPE, SMP, "unet", build={"encoder": None})


@pytest.mark.parametrize("recipe", [None, 3, "quick", [1]])
def test_a_recipe_is_a_mapping(recipe):
    with pytest.raises(ConfigError, match=r"model\.recipes\.quick: expected keys with values"):
        check_recipe(recipe, SMP, "unet", "model.recipes.quick")


def test_defaults_are_filled_in_sections_too():
    filled = fill_defaults({**LOOP_RECIPE, "augment": {"rotate": 5}, "loss": {"ce": 1}}, SMP)
    assert filled["optimizer"] == "adamw" and filled["shuffle"] is True
    assert (filled["augment"]["hflip"], filled["augment"]["rotate"]) == (0.5, 5)
    assert filled["loss"] == {"ce": 1, "dice": 0.0} and filled["chain"] is None
    nothing = fill_defaults(LOOP_RECIPE, SMP)
    assert not any(nothing["augment"].values()) and nothing["loss"] == {"ce": 1.0, "dice": 1.0}
    assert fill_defaults({"augment": {}}, HEATMAP)["augment"]["hflip"] == 0.0  # hearts aren't


def test_both_spellings_of_the_optimiser_are_one_key():
    assert rename_spellings({"optimiser": "sgd"}, SMP) == {"optimizer": "sgd"}
    later = rename_spellings({"optimizer": "adamw", "optimiser": "sgd"}, SMP)
    assert later == {"optimizer": "sgd"}
    assert rename_spellings({"optimiser": "x"}, NNUNET) == {"optimiser": "x"}  # no key of it


def test_the_declared_optimisers_are_those_that_there_are():
    assert tuple(optimise.OPTIMISERS) == OPTIMISERS


OWN = [
    {"levels": 8, "rate": 1, "name": "a", "deep": {"width": 4}, "size": 64, "level": None},
    {"levels": 32, "rate": 0.5, "on": True, "size": [64, 64], "note": "ours"},
]


@pytest.mark.parametrize(
    "recipe",
    [{}, {"levels": 9}, {"rate": 0.1}, {"size": 32}, {"size": [1, 2]}, {"deep": {"width": 1}},
     {"level": None}, {"level": 3}, {"level": "high"}, {"unstated": ["all"]}, *OWN],
)  # fmt: skip
def test_a_yaml_without_a_table_takes_the_keys_and_types_that_it_spells_out(recipe):
    check_recipe(recipe, infer_keys(OWN), "ours")


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"levls": 9}, "unknown recipe key 'levls' for ours; did you mean 'levels'?"),
        ({"levels": 8.5}, "levels=8.5: expected a whole number"),
        ({"levels": "many"}, "levels=many: expected a whole number"),
        ({"levels": None}, "levels=null: expected a whole number"),
        ({"rate": "x"}, "rate=x: expected a number"),
        ({"name": 3}, "name=3: expected text"),
        ({"on": "no"}, "on='no': expected true or false"),
        ({"deep": {"widht": 3}}, "'deep.widht' for ours; did you mean 'deep.width'?"),
        ({"size": "big"}, "size=big: expected a whole number, or a list"),
    ],
)
def test_a_yaml_without_a_table_refuses_others(recipe, says):
    with pytest.raises(ConfigError) as wrong:
        check_recipe(recipe, infer_keys(OWN), "ours")
    assert says in str(wrong.value)
