"""What is said about a key that Hydra doesn't know."""

from __future__ import annotations

from functools import partial

import pytest

from usbench.errors import ConfigError
from usbench.io.config import begin_composing, check_keys, compose_unresolved
from usbench.runner.declared import declared_keys, recipe_path


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("modell=unet", "modell: no such key; did you mean model?"),
        ("+modell=unet", "modell: no such key; did you mean model?"),
        ("++data_set.root=x", "data_set.root: no such key; did you mean dataset?"),
        ("dataset=null", "dataset=null: expected the name of a dataset"),
        ("model=", "model=: expected the name of a model"),
        ("metric=None", "metric=None: expected the name of a metric"),
    ],
)
def test_a_wrong_first_part_is_one_line(argument, says):
    with pytest.raises(ConfigError) as wrong:
        check_keys(["seed=1", argument])
    assert str(wrong.value).startswith(says)


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("momentum=0", "momentum: no such key; did you mean model.recipes.tiny.momentum?"),
        ("recipe.epochs=8", "recipe.epochs: no such key; did you mean model.recipes.tiny.epochs?"),
        ("shuffle=false", "shuffle: no such key; did you mean model.recipes.tiny.shuffle?"),
        ("task=segment", "task: no such key. See usbench keys"),
    ],
)
def test_a_recipe_key_without_its_place_is_told_it(argument, says):
    arguments = ["model=unet", "recipe=tiny", argument]
    with pytest.raises(ConfigError) as wrong:
        check_keys(arguments, partial(recipe_path, arguments=arguments, config_dir=None))
    assert str(wrong.value) == says


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["unet"], "unet: expected KEY=VALUE, such as model=unet"),
        (["seed=0,1"], "seed=0,1: add -m to run several; "),
        (["model=threshold"], "model=threshold: no such model. See usbench list"),
        (["model=unt"], "model=unt: no such model; did you mean unet? See usbench list"),
    ],
)
def test_what_hydra_refuses_is_said_in_our_words(overrides, says):
    with begin_composing(), pytest.raises(ConfigError) as wrong:
        compose_unresolved(overrides)
    assert str(wrong.value).startswith(says)


@pytest.mark.parametrize(
    "argument",
    ["seed=1", "+model.recipes.quick.lr=1", "~sweep", "-m", "sweep=null", "hydra/launcher=slurm",
     "dataset@dataset=usgra", "--config-dir=conf", "data=null"],
)  # fmt: skip
def test_what_is_left_to_hydra(argument):
    check_keys([argument])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.recipes.quick.epoch=3", "model.recipes.quick.epoch: no such key; did you mean "
         "model.recipes.quick.epochs? See usbench keys"),
        ("model.recipes.quik.epochs=3", "did you mean model.recipes.quick?"),
        ("dataset.zzz=3", "dataset.zzz: no such key. See usbench keys"),
    ],
)  # fmt: skip
def test_a_nested_key_names_the_nearest(override, says):
    with begin_composing(), pytest.raises(ConfigError) as wrong:
        compose_unresolved([override])
    assert says in str(wrong.value) and "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("dataset", "redistribute"),
        ("dataset.split", "val_share"),
        ("dataset.views.segment", "tolerance"),
        ("dataset.leakage", "images"),
        ("model", "recipe_keys"),
        ("model.recipes.quick", "momentum"),
        ("model.recipes.quick.augment", "shear"),
    ],
)
def test_keys_that_no_yaml_spells_out_are_known(path, key):
    assert key in declared_keys(path, ["model=unet", "seed=3", "model.recipes.quick.lr=1"], None)
    assert key not in declared_keys("runs", [], None)
