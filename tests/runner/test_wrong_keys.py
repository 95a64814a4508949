"""Unknown keys and values out of range: one line before anything is trained or written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from usbench.errors import ConfigError, RunError
from usbench.io.config import begin_composing, conf_dir
from usbench.io.config import compose as compose_overrides
from usbench.io.yaml_file import read_yaml
from usbench.runner import recipes
from usbench.runner.config import RunConfig
from usbench.runner.plan import plan_run
from usbench.runner.recipes import PACKAGES, check_extra, check_recipe_overrides
from usbench.runner.resolve import resolve_config

SMALL = "dataset.phantom.size=[64,64]"
FOLDER = ("dataset=folder", "source=phantom")
CLASSES = "dataset.views.segment.classes"
MANY = ",".join(f"c{n}" for n in range(300))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USBENCH_DATA", raising=False)
    return tmp_path


def plan(*overrides: str, config_dir: Path | None = None) -> RunConfig:
    """The run that a command would do."""
    small = ("device=cpu", "dataset.phantom.counts={train:4,val:4,test:4}", SMALL)
    with begin_composing(config_dir) as search_path:
        keys = [*small, *overrides, *search_path]
        return plan_run(compose_overrides(keys), keys).config


def put(composed: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """A composed configuration with further values, as Hydra would add them, only faster."""
    for override in overrides:
        path, _, value = override.lstrip("+").partition("=")
        *sections, key = path.split(".")
        node = composed
        for section in sections:
            node = node[section]
        node[key] = yaml.safe_load(value)
    return composed


def refused(*overrides: str, config_dir: Path | None = None) -> str:
    """What is said about a command, which writes nothing."""
    before = sorted(Path.cwd().rglob("*"))
    with pytest.raises(ConfigError) as wrong:
        plan(*overrides, config_dir=config_dir)
    assert sorted(Path.cwd().rglob("*")) == before
    message = str(wrong.value)
    assert "\n" not in message and wrong.value.exit_code == 2
    return message


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("+model.recipes.quick.epoch=3",), "unknown recipe key 'epoch' for unet; did you mean 'epochs'"),
        (("+model.recipes.standard.epoch=3",), "unknown recipe key 'epoch'"),
        (("model.recipes.quick.epochs=0",), "model.recipes.quick.epochs=0: expected a whole number"),
        (("model.recipes.quick.size=[]",), "model.recipes.quick.size=[]: expected"),
        (("+model.recipes.quick.optimiser=sdg",), "did you mean sgd?"),
        (("model.recipes=null",), "model: expected recipes (keys with values) in its YAML"),
        (("model.recipe_keys=usbench.models.loop_keys.NONE",), "model.recipe_keys=usbench.models.loop_keys.NONE: "),
        (("model.recipe_keys=nowhere.KEYS",), "No module named 'nowhere'"),
        (("model.recipe_keys=usbench.models.loop_keys.STRIDE",), "expected a mapping from names"),
        (("+metric.primry=dice",), "did you mean metric.primary?"),
        (("+model.build.encodr=resnet18",), "did you mean model.build.encoder?"),
        (("+dataset.split.vall_share=0.2",), "did you mean 'val_share'?"),
        (("seed=18446744073709551616",), "seed=18446744073709551616: expected a whole number below 2**64"),
        (("seed=-1",), "seed=-1: expected a whole number of 0 or more"),
        (("runs=null",), "runs=null: expected a folder"),
        (("runs=''",), "runs='': expected a folder"),
        (("results=null",), "results=null: expected a folder"),
        (("results=' '",), "results=' ': expected a folder"),
        (("results=[a]",), "results=[a]: expected a folder"),
        (("dataset.root=''",), "dataset.root='': expected a folder, or null"),
        (("data=''",), "data='': expected a folder, or null"),
        ((*FOLDER, "dataset.name=../../x"), "dataset.name=../../x: expected a name of letters"),
        ((*FOLDER, "dataset.name=/tmp/x"), "dataset.name=/tmp/x: expected"),
        ((*FOLDER, "dataset.name=''"), "dataset.name='': expected"),
        ((*FOLDER, "dataset.name='a b'"), "dataset.name=a b: expected"),
        ((*FOLDER, "dataset.name=.hidden"), "dataset.name=.hidden: expected"),
        ((*FOLDER, f"dataset.name={'x' * 200}"), "at most 100 of them"),
        ((*FOLDER, "dataset.name=phantom"), "dataset.name=phantom: expected another name"),
        (("model.name=../x",), "model.name=../x: expected a name of letters"),
        ((f"{CLASSES}=lesion",), f"{CLASSES}=lesion: expected a list of names, such as [lesion]"),
        ((f"{CLASSES}=[]",), f"{CLASSES}=[]: expected a list of names"),
        ((f"{CLASSES}=[cyst,cyst]",), "expected different names, got 'cyst' more than once"),
        ((f"{CLASSES}=[cyst,3]",), "expected names, got 3; put a number in quotes"),
        ((f"{CLASSES}=[{MANY}]",), f"{CLASSES}: expected at most 255 names, got 300"),
        (("dataset.views.segment.exclusive='no'",), "exclusive=no: expected true or false"),
        (("dataset.views.segment.exclusive=1",), "exclusive=1: expected true or false"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line_and_writes_nothing(compose, overrides, says):
    """Also the values of a recipe that isn't chosen."""
    small = ("device=cpu", "threads=1", *(text for text in overrides if text in FOLDER))
    values = tuple(text for text in overrides if text not in FOLDER)
    with pytest.raises(ConfigError) as wrong:
        resolve_config(put(compose(*small), values))
    assert says in str(wrong.value) and "\n" not in str(wrong.value)
    assert wrong.value.exit_code == 2 and not list(Path.cwd().iterdir())


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("~model.recipes.quick.epochs",), "model.recipes.quick: expected a key 'epochs'"),
        (("+modell=unet",), "modell: no such key; did you mean model?"),
        (("++sede=3",), "sede: no such key; did you mean seed?"),
        (("+model.buidl=3",), "model.buidl: no such key; did you mean model.build?"),
        (("+dataset.splitt=3",), "dataset.splitt: no such key; did you mean dataset.split?"),
        (("dataset=kidney", "+dataset.anotator=2"), "did you mean dataset.annotator?"),
        (("model.recipes.quick.epoch=3",), "did you mean model.recipes.quick.epochs?"),
        (("model.build.encodr=x",), "model.build.encodr: no such key; did you mean model.build.encoder?"),
        (("dataset.view.segment.exclusive=true",), "dataset.view: no such key; did you mean dataset.views?"),
        (("dataset=null",), "dataset=null: expected the name of a dataset"),
        (("model=null",), "model=null: expected the name of a model"),
        (("model=",), "model=: expected the name of a model"),
        (("metric=null",), "metric=null: expected the name of a metric"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_one_line_and_writes_nothing(overrides, says):
    assert says in refused(*overrides)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("metric.protocols=[nope]", "nope"),
        ("metric.primary=dise", "did you mean dice"),
        ("metric.extra={mine: {_target_: builtins.nothing, _partial_: true}}", "nothing"),
    ],
)
def test_a_metric_that_cannot_score_is_said_before_training(compose, value, says):
    composed = compose("device=cpu", "threads=1", "dataset.phantom.counts.train=8", SMALL)
    with pytest.raises(ConfigError, match=says):
        resolve_config(put(composed, (value,)))


@pytest.mark.parametrize("seed", [2**32, 2**64 - 1])
def test_a_large_seed_can_be(seed):
    assert plan(f"seed={seed}").seed == seed


def test_both_spellings_of_the_optimiser_have_one_run_id():
    spellings = ("optimiser", "optimizer")
    first, second = (plan(f"+model.recipes.quick.{word}=sgd") for word in spellings)
    assert first.run_id == second.run_id != plan().run_id
    assert first.model.recipe["optimizer"] == "sgd" and "optimiser" not in first.model.recipe


def test_an_override_by_the_other_spelling_counts():
    config = plan("model=yolov8", "+model.recipes.quick.optimiser=SGD")
    assert config.model.recipe["optimizer"] == "SGD"


OWN = """
defaults:
  - /metric@_global_.metric: segment
name: ours
task: segment
version: 1
pickled: false
bf16: []
build: {_target_: usbench.models.smp.SmpSegmenter, architecture: unet}
recipes: {quick: {levels: 8, rate: 0.5}, standard: {levels: 32, deep: {width: 2}}}
"""
TABLE = """
from usbench.models.recipe_keys import RecipeKey
from usbench.models.value_kinds import COUNT
KEYS = {"levels": RecipeKey(COUNT, "grey values tried"), "rate": RecipeKey(COUNT, "", 1),
        "deep": RecipeKey(COUNT, "", None)}
"""


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Path:
    """A configuration of one's own with a model whose YAML names no table of recipe keys."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "ours.yaml").write_text(OWN)
    (tmp_path / "ours_keys.py").write_text(TABLE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def levels(config: RunConfig) -> Any:
    return config.model.recipe["levels"]


def test_a_model_without_a_table_takes_what_its_own_recipes_spell_out(lab):
    assert levels(plan("model=ours", "model.recipes.quick.levels=9", config_dir=lab)) == 9
    for override, says in {
        "+model.recipes.quick.levls=9": "'levls' for ours; did you mean 'levels'?",
        "model.recipes.quick.levels=many": "model.recipes.quick.levels=many: expected a whole",
    }.items():
        assert says in refused("model=ours", override, config_dir=lab)


def test_a_model_of_ones_own_may_name_a_table(lab):
    (lab / "model" / "ours.yaml").write_text(
        OWN.replace("deep: {width: 2}", "rate: 2").replace("rate: 0.5", "rate: 3")
        + "recipe_keys: ours_keys.KEYS\n"
    )
    assert levels(plan("model=ours", "+model.recipes.quick.deep=2", config_dir=lab)) == 8
    said = refused("model=ours", "model.recipes.quick.levels=0", config_dir=lab)
    assert said == "model.recipes.quick.levels=0: expected a whole number of 1 or more, got 0"


@pytest.mark.parametrize(
    ("model", "package", "extra"),
    [
        ("samed", "transformers", "transformers"),
        ("detr", "transformers", "transformers"),
        ("nnunet", "nnunetv2", "nnunet"),
    ],
)
def test_a_missing_package_is_said_when_a_run_is_planned(monkeypatch, model, package, extra):
    monkeypatch.setattr(sys, "path", [])  # where packages are looked for
    with pytest.raises(RunError) as caught:
        check_extra(
            {"name": model, "extra": read_yaml(conf_dir() / "model" / f"{model}.yaml")["extra"]}
        )
    assert str(caught.value) == (
        f"model={model} needs the package {package}, which isn't installed; "
        f"pip install 'usbench[{extra}]'"
    )


def test_a_plan_says_which_package_is_missing(monkeypatch):
    missing = {**PACKAGES, "transformers": "transformers_which_nobody_has"}
    monkeypatch.setattr(recipes, "PACKAGES", missing)
    with pytest.raises(RunError, match=r"model=samed needs the package transformers_which"):
        plan("model=samed")


def test_a_value_of_a_recipe_that_no_run_uses_is_refused():
    own = ["model.recipes.tiny.epochs=9", "+model.recipes.mine={epochs: 3}", "recipe=tiny"]
    check_recipe_overrides({"tiny"}, own)
    check_recipe_overrides({"tiny", "quick"}, ["model.recipes.quick.epochs=9"])
    with pytest.raises(ConfigError) as wrong:
        check_recipe_overrides({"tiny"}, [*own, "++model.recipes.quick.augment.hflip=.5"])
    assert str(wrong.value) == (
        "model.recipes.quick.augment.hflip: this run uses recipe=tiny; set "
        "model.recipes.tiny.augment.hflip, or leave it out"
    )
