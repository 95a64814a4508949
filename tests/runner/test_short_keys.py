"""epochs=30 and its like set a value of the chosen recipe: the run that the long form gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import usbench
from usbench.cli.api import to_overrides
from usbench.errors import ConfigError
from usbench.io.config import begin_composing, combinations, conf_dir
from usbench.io.config import compose as compose_overrides
from usbench.leaderboard.recipes import describe_alterations, read_configs
from usbench.runner.config import RunConfig
from usbench.runner.plan import plan_run
from usbench.runner.resolve import resolve_config
from usbench.sweep.search import split_overrides

SMALL = ("dataset.phantom.size=[64,64]", "dataset.phantom.counts={train:4,val:4,test:4}")
OWN = """
class Loss:
    def __init__(self, beta=0.5):
        pass
"""


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch) -> Path:
    """The working directory, with a loss and an augmentation of a lab's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USBENCH_DATA", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "losses_of_a_lab.py").write_text(OWN)
    return tmp_path


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The folder of runs, which holds each phantom once."""
    folder: Path = tmp_path_factory.mktemp("runs")
    return folder


@pytest.fixture
def resolve(compose, runs):
    """The run that a command would do."""

    def resolve_words(*words: str) -> RunConfig:
        return resolve_config(compose("device=cpu", "threads=1", f"runs={runs}", *SMALL, *words))

    return resolve_words


LONG = "model.recipes.quick"


@pytest.mark.parametrize(
    ("model", "short", "long"),
    [
        ("unet", "epochs=3", f"{LONG}.epochs=3"),
        ("unet", "lr=1e-3", f"{LONG}.lr=1e-3"),
        ("unet", "batch=2", f"{LONG}.batch=2"),
        ("unet", "size=96", f"{LONG}.size=96"),
        ("unet", "size=[64,96]", f"{LONG}.size=[64,96]"),
        ("unet", "augment={rotate:9}", f"{LONG}.augment.rotate=9"),
        ("unet", "loss={ce:1}", f"+{LONG}.loss={{ce:1}}"),
        (
            "unet",
            "loss={_target_:losses_of_a_lab.Loss,beta:0.7}",
            f"+{LONG}.loss={{_target_:losses_of_a_lab.Loss,beta:0.7}}",
        ),
        ("yolov8", "epochs=3", f"{LONG}.epochs=3"),
        ("yolov8", "size=s", f"{LONG}.size=s"),
    ],
)
def test_a_short_key_gives_the_run_of_the_long_one(resolve, model, short, long):
    first, second = resolve(f"model={model}", short), resolve(f"model={model}", long)
    assert first == second and first.run_id != resolve(f"model={model}").run_id


def test_no_short_key_changes_nothing(resolve, compose):
    recipe = compose("device=cpu", "threads=1", *SMALL)["model"]["recipes"]["quick"]
    plain = resolve()
    assert plain.model.recipe == {
        key: value if key != "size" else [160, 224]
        for key, value in recipe.items()
        if key not in ("encoder", "options")
    }
    assert resolve("epochs=null", "size=null", "loss=null").run_id == plain.run_id


def test_the_chosen_recipe_alone_is_set(resolve):
    config = resolve("recipe=tiny", "epochs=9")
    assert config.recipe == "tiny" and config.model.recipe["epochs"] == 9


def test_python_s_values_are_the_command_s(resolve):
    values: dict[str, Any] = {"epochs": 3, "lr": 1e-3, "size": [64, 96], "loss": {"ce": 1}}
    words = ["epochs=3", "lr=1e-3", "size=[64,96]", "loss={ce:1}"]
    assert resolve(*to_overrides(values)) == resolve(*words)


def test_a_class_replaces_what_the_recipe_says(resolve):
    node = {"_target_": "losses_of_a_lab.Loss", "beta": 0.7}
    config = resolve("augment={_target_:losses_of_a_lab.Loss,beta:0.7}")
    assert config.model.recipe["augment"] == node


def test_an_edited_class_is_another_run(resolve, lab):
    before = resolve("loss={_target_:losses_of_a_lab.Loss}").run_id
    (lab / "losses_of_a_lab.py").write_text(OWN + "# edited\n")
    assert resolve("loss={_target_:losses_of_a_lab.Loss}").run_id != before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model=yolov8", "lr=1e-3"], "lr=0.001: model=yolov8 recipe=quick has no key lr; did you mean model.recipes.quick.lr0? it has size, imgsz, epochs, batch"),
        (["model=yolov8", "size=256"], "size=256: expected text, got 256 (model=yolov8 recipe=quick: of the net, such as n or s); did you mean model.recipes.quick.imgsz?"),
        (["model=nnunet", "loss={ce:1}"], "model=nnunet recipe=quick has no key loss (nets on masks"),
        (["model=fasterrcnn", "loss={ce:1}"], "loss={ce: 1}: model=fasterrcnn recipe=quick has no key loss (nets on masks or landmarks"),
        (["model=yolov8", "augment={_target_:x.Y}"], "recipe key 'augment._target_' for yolov8: expected fliplr, flipud"),
        (["epochs=0"], "epochs=0: expected a whole number of 1 or more, got 0"),
        (["epochs=many"], "epochs=many: expected a whole number"),
        (["lr=-1"], "lr=-1: expected a number above 0"),
        (["loss=dice"], "loss=dice: expected keys with values (ce, dice), or {_target_: …} of your own"),
        (["loss={focal:1}"], "unknown recipe key 'loss.focal' for unet"),
        (["augment={rotat:1}"], "did you mean 'augment.rotate'?"),
        (["loss={_target_:nowhere.Loss}"], "_target_=nowhere.Loss: no module nowhere"),
        (["loss={_target_:losses_of_a_lab.Loss,gamma:1}"], "model.recipes.quick.loss.gamma: losses_of_a_lab.Loss has no such argument; it has beta"),
        (["model=unet_kumar2025", "recipe=kumar2025", "augment={_target_:losses_of_a_lab.Loss}"], "expected augment or chain, got both"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(resolve, lab, words, says):
    with pytest.raises(ConfigError) as wrong:
        resolve(*words)
    assert says in str(wrong.value) and "\n" not in str(wrong.value)
    assert [path.name for path in lab.iterdir()] == ["losses_of_a_lab.py"]


def test_one_value_is_not_set_twice():
    words = ["epochs=3", "model.recipes.quick.epochs=4"]
    with begin_composing():
        composed = compose_overrides(words)
        with pytest.raises(ConfigError, match=r"quick\.epochs=4: epochs=3 sets the same value"):
            plan_run(composed, words)


def test_short_keys_vary_in_a_sweep_and_in_a_search():
    with begin_composing():
        jobs = combinations(["epochs=10,20", "lr=1e-3,1e-2"])
        assert jobs[1] == ("epochs=10", "lr=0.01") and len(jobs) == 4
        fixed, space = split_overrides(["model=unet", "lr=tag(log,interval(1e-4,1e-2))"])
        assert fixed == ["model=unet"] and list(space) == ["lr"]
        with pytest.raises(ConfigError, match=r"only model\.… and epochs, lr"):
            split_overrides(["seed=0,1"])


LOSS = """
class Loss:
    def __init__(self, beta):
        self.beta = beta

    def __call__(self, logits, targets, known):
        probability, planes = logits.softmax(1)[:, 1:], targets[:, 1:]
        return (self.beta * (probability - planes) ** 2).mean()


def darken(images, masks, rng, strength):
    return images * (1 - strength), masks
"""


@pytest.mark.process
def test_a_run_with_a_loss_and_an_augmentation_of_one_s_own(lab):
    """It is trained, shown on the leaderboard, and restored where the classes aren't."""
    (lab / "losses_of_a_lab.py").write_text(LOSS)
    result = usbench.run(
        "phantom",
        "unet",
        recipe="tiny",
        epochs=1,
        loss={"_target_": "losses_of_a_lab.Loss", "beta": 0.7},
        augment={"_target_": "losses_of_a_lab.darken", "_partial_": True, "strength": 0.1},
        device="cpu",
        threads=1,
        tracking="none",
        **{"dataset.phantom.size": [64, 64]},
    )
    assert result.config["model"]["recipe"]["loss"]["beta"] == 0.7
    assert describe_alterations([result], read_configs(conf_dir())) == {
        result.run_id: "epochs 1, augment darken(strength .1), loss Loss(beta .7)"
    }
    (lab / "losses_of_a_lab.py").unlink()
    (masks,) = usbench.load_model(result.run_id).predict([np.zeros((64, 64), np.uint8)])
    assert masks.planes.shape == (2, 64, 64)
