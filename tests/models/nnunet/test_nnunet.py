"""nnU-Net: what the package does behind one's back, each with the test that fails where its
handling is taken away.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.helpers.paths import ROOT
from tests.helpers.watched import Watch, a_run

pytest.importorskip("nnunetv2", reason="usbench[nnunet] isn't installed")

from usbench.datasets.phantoms import phantom
from usbench.errors import ConfigError, DataError, RunError, UsbenchError
from usbench.models.nnunet import trainer as nnunet_trainer
from usbench.models.nnunet.files import label_map, write_raw
from usbench.models.nnunet.model import NnUNet, sealed_nnunet
from usbench.models.nnunet.planner import OURS, amend_plan
from usbench.models.nnunet.recipe import parse_recipe
from usbench.results.scoring import SELECTION
from usbench.types import Masks, Run, Sample

pytestmark = pytest.mark.usefixtures("one_thread_throughout")

TINY = {
    "epochs": 3,
    "iterations": 3,
    "batch": 2,
    "size": [64, 64],
    "features": [4, 8, 8, 8],
    "mirror": [1],
}
SHAPES = ((64, 64), (61, 97), (40, 120))
RECIPES = yaml.safe_load((ROOT / "conf/model/nnunet.yaml").read_text("utf-8"))["recipes"]


def pictures(count: int, seed: int = 0) -> list[Sample]:
    """Noise with a bright (class 0) and a dark (class 1) rectangle; every fourth has none."""
    rng = np.random.default_rng(seed)
    samples = []
    for n in range(count):
        height, width = SHAPES[n % len(SHAPES)]
        image = rng.integers(90, 130, (height, width), dtype=np.uint8)
        planes = np.zeros((2, height, width), bool)
        if n % 4 != 3:
            y, x = int(rng.integers(0, height - 20)), int(rng.integers(0, width // 2 - 20))
            planes[0, y : y + 20, x : x + 20] = planes[1, y : y + 12, x + 25 : x + 45] = True
            image[planes[0]], image[planes[1]] = 250, 10
        samples.append(Sample(f"case {n}", f"g{n}", image, Masks(planes)))
    return samples


def a_model(**changes) -> NnUNet:
    return NnUNet(classes=2, exclusive=True, recipe={**TINY, **changes})


def fitted(folder: Path, scores: list[float], seed: int = 3, **changes) -> tuple[NnUNet, Watch]:
    model, watch = a_model(**changes), Watch(scores)
    model.fit(pictures(6), pictures(4, seed=1), a_run(folder, watch, seed=seed))
    return model, watch


def same(first: list[Masks], other: list[Masks]) -> bool:
    """To the last bit of every probability."""
    return len(first) == len(other) and all(
        np.array_equal(a.planes, b.planes)
        and np.array_equal(a.scores, b.scores)
        and np.array_equal(a.probabilities, b.probabilities)
        for a, b in zip(first, other, strict=True)
    )


def held_out(model: NnUNet) -> list[Masks]:
    return list(model.predict(sample.image for sample in pictures(4, seed=1)))


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> tuple[NnUNet, Watch, Path]:
    """One uninterrupted run whose second epoch is its best."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    model, watch = fitted(folder, [0.1, 0.3, 0.2])
    return model, watch, folder


# ---- recipes and refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": None}, "epochs=null: expected a whole number of 1 or more, got null"),
        ({"epochs": True}, "epochs=true: expected a whole number"),
        ({"iterations": 0}, "iterations=0: expected a whole number"),
        ({"batch": 2.5}, "batch=2.5: expected a whole number"),
        ({"validate_every": -1}, "validate_every=-1: expected a whole number"),
        ({"size": [64, 60]}, "a multiple of 32"),
        ({"size": None}, "state size with it"),
        ({"features": [8, 8]}, "a list of 3 or more"),
        ({"spacing": 0}, "got 0"),
        ({"lr": "fast"}, "lr=fast: expected a number"),
        ({"mirror": [2]}, "from 0 to 1"),
        ({"augment": {"hflip": 0.5}}, "unknown recipe key 'augment.hflip'"),
        (
            {"learning_rate": 1e-3},
            "unknown recipe key 'learning_rate' for nnunet; did you mean 'lr'",
        ),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(change, message) -> None:
    with pytest.raises(ConfigError, match=message):
        a_model(**change)


def test_the_recipes_of_the_repository_can_be_and_say_what_is_their_own() -> None:
    assert set(RECIPES) == {"tiny", "quick", "standard", "default"}
    for recipe in RECIPES.values():
        size = recipe.get("size") and [96, 96]
        parse_recipe({**recipe, "size": size})
    default = parse_recipe(RECIPES["default"])
    ours = (
        default.iterations,
        default.batch,
        default.size,
        default.features,
        default.spacing,
        default.lr,
    )
    assert (
        ours == (None,) * 6
        and default.mirror is None
        and default.augment
        and default.epochs == 1000
    )
    assert (
        "nnU-Net's own 2D plan" in RECIPES["default"]["note"]
        and "a small plan" in RECIPES["standard"]["note"]
    )


def test_classes_that_overlap_are_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"overlapping classes aren't supported: nnU-Net's labels are a map.*model=unet",
    ):
        NnUNet(classes=2, exclusive=False, recipe=TINY)
    with pytest.raises(ConfigError, match="at most 255 classes"):
        NnUNet(classes=256, exclusive=True, recipe=TINY)


def test_a_missing_package_is_one_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "nnunetv2.training.nnUNetTrainer.nnUNetTrainer", None)
    with pytest.raises(
        RunError, match=r"nnunetv2 isn't installed.*; pip install 'usbench\[nnunet\]'"
    ):
        fitted(tmp_path, [])


@pytest.mark.process
def test_importing_the_module_does_not_import_nnunet() -> None:
    code = "import sys, usbench.models.nnunet.model; sys.exit('nnunetv2' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )


def test_predict_before_fit() -> None:
    with pytest.raises(RunError, match="fit"):
        a_model().predict([])


# ---- the raw data set


def test_a_label_map_by_hand() -> None:
    planes = np.array([[[1, 0, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 0]]], bool)
    sample = Sample("a", "a", np.zeros((2, 3), np.uint8), Masks(planes))
    assert label_map(sample).tolist() == [[1, 2, 2], [0, 0, 0]]
    twice = replace(sample, target=Masks(planes | planes[::-1]))
    with pytest.raises(DataError, match=r"a: .*two in one pixel"):
        label_map(twice)
    with pytest.raises(DataError, match=r"a: .*an unknown one"):
        label_map(replace(sample, target=Masks(planes, known=np.array([True, False]))))


def test_the_raw_data_set_is_the_samples(tmp_path) -> None:
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

    train, val = pictures(4), pictures(2, seed=1)
    write_raw(tmp_path / "raw", tmp_path / "preprocessed", train, val, 2)
    folder = tmp_path / "raw/Dataset001_usbench"
    names = [*(f"train_{n:06d}" for n in (1, 2, 3, 4)), "val_000001", "val_000002"]
    for name, sample in zip(names, [*train, *val], strict=True):
        image, _ = NaturalImage2DIO().read_images([str(folder / f"imagesTr/{name}_0000.png")])
        assert np.array_equal(image, sample.image[None, None])
        label = np.array(Image.open(folder / f"labelsTr/{name}.png"))
        assert all(np.array_equal(label == n + 1, sample.target.planes[n]) for n in (0, 1))
    (split,) = json.loads(
        (tmp_path / "preprocessed/Dataset001_usbench/splits_final.json").read_text()
    )
    assert split == {"train": names[:4], "val": names[4:]}
    told_of = json.loads((folder / "dataset.json").read_text())
    assert told_of["labels"] == {"background": 0, "class 1": 1, "class 2": 2}
    assert told_of["numTraining"] == 6 and list(told_of["dataset"]) == names
    assert str(tmp_path) not in (folder / "dataset.json").read_text()


@pytest.mark.process
@pytest.mark.parametrize("which", ["no object", "no val"])
def test_nothing_to_learn_from(which, tmp_path) -> None:
    blank = replace(pictures(1)[0], target=Masks(np.zeros((2, 64, 64), bool)))
    train, val = ([blank, blank], pictures(1)) if which == "no object" else (pictures(1), [])
    with pytest.raises(DataError, match=r"nothing to learn from: [01] of [12] training images"):
        a_model().fit(train, val, a_run(tmp_path, Watch([])))


# ---- the plan


def test_a_plan_by_hand() -> None:
    """64×128 px in at most four stages: 64→32→16→8 and 128→64→32→16; batch and blocks as said."""
    planned = {
        "spacing": [1.0, 1.0],
        "architecture": {"network_class_name": "net", "arch_kwargs": {"conv_bias": True}},
    }
    plan = amend_plan(
        planned, parse_recipe({**TINY, "size": [64, 128], "features": [4, 8, 16, 32], "batch": 5})
    )
    arch = plan["architecture"]["arch_kwargs"]
    assert (
        plan["inherits_from"] == "2d"
        and plan["batch_size"] == 5
        and plan["patch_size"] == [64, 128]
    )
    assert (
        arch["strides"] == [[1, 1], [2, 2], [2, 2], [2, 2]] and arch["kernel_sizes"] == [[3, 3]] * 4
    )
    assert (
        arch["n_stages"] == 4
        and arch["features_per_stage"] == [4, 8, 16, 32]
        and arch["conv_bias"] is True
    )
    assert arch["n_conv_per_stage"] == [2] * 4 and arch["n_conv_per_stage_decoder"] == [2] * 3
    fewer = amend_plan(
        planned, parse_recipe({**TINY, "size": [32, 32], "features": [4, 8, 16, 32, 64]})
    )
    assert fewer["architecture"]["arch_kwargs"]["features_per_stage"] == [
        4,
        8,
        16,
        32,
    ]  # 32→16→8→4 px


@pytest.mark.train
def test_nulls_are_the_planners_own(tmp_path) -> None:
    """The whole default plan, of three small images: nothing of it is ours, and it comes from
    training and val.
    """
    nulls = dict.fromkeys(("batch", "size", "features", "mirror"))
    model, _ = fitted(tmp_path, [0.5], epochs=1, iterations=1, **nulls)
    plans = json.loads((tmp_path / "plans.json").read_text())
    assert plans["configurations"][OURS] == {"inherits_from": "2d"}
    ours = plans["configurations"]["2d"]
    assert ours["spacing"] == [1, 1] and ours["normalization_schemes"] == ["ZScoreNormalization"]
    assert ours["architecture"]["arch_kwargs"]["features_per_stage"][:4] == [32, 64, 128, 256]
    assert model._predictor.allowed_mirroring_axes == (0, 1) and model.parameters > 1_000_000


@pytest.mark.train
def test_a_spacing_is_planned_for_and_predictions_stay_native(tmp_path) -> None:
    model, _ = fitted(tmp_path, [0.5], epochs=1, spacing=2, size=[32, 32])
    plans = json.loads((tmp_path / "plans.json").read_text())
    assert plans["configurations"]["2d"]["spacing"] == [2.0, 2.0]
    assert [prediction.planes.shape for prediction in held_out(model)] == [
        (2, *SHAPES[n % 3]) for n in range(4)
    ]


@pytest.mark.train
def test_planning_and_training_start_no_process(tmp_path, monkeypatch) -> None:
    def refused(self) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refused)
    fitted(tmp_path, [0.5], epochs=1)
    from nnunetv2.preprocessing.preprocessors import default_preprocessor

    assert default_preprocessor.multiprocessing is multiprocessing  # as before, afterwards


# ---- training


@pytest.mark.train
def test_every_epoch_is_logged(straight) -> None:
    _, watch, _ = straight
    assert watch.logged["val/score"] == {1: 0.1, 2: 0.3, 3: 0.2}
    assert set(watch.logged["train/loss"]) == {1, 2, 3}
    rates = [0.01 * (1 - epoch / 3) ** 0.9 for epoch in range(3)]  # nnU-Net's own
    np.testing.assert_allclose(list(watch.logged["lr"].values()), rates)


@pytest.mark.train
def test_the_best_epoch_by_our_rule_is_what_predicts(straight) -> None:
    model, watch, _ = straight
    assert same(held_out(model), watch.predicted[1]) and not same(
        held_out(model), watch.predicted[2]
    )


@pytest.mark.train
def test_only_weights_and_what_restores_them_stay(straight) -> None:
    model, _, folder = straight
    assert sorted(path.name for path in folder.rglob("*")) == [
        "best.pt",
        "dataset.json",
        "plans.json",
    ]
    state = torch.load(folder / "best.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    ours = model._predictor.network.parameters()
    assert model.parameters == sum(parameter.numel() for parameter in ours) > 0
    for name in ("plans.json", "dataset.json"):
        text = (folder / name).read_text()
        assert (
            os.uname().nodename not in text and str(folder.parent) not in text and "/" not in text
        )


@pytest.mark.train
def test_a_finished_run_only_loads_and_restore_gives_the_same_bits(straight) -> None:
    model, _, folder = straight
    again, watch = fitted(folder, [])
    assert watch.predicted == [] and watch.logged == {} and same(held_out(again), held_out(model))
    restored = a_model()
    restored.restore(a_run(folder, Watch([])))
    assert same(held_out(restored), held_out(model)) and restored.parameters == model.parameters
    assert sorted(path.name for path in folder.rglob("*")) == [
        "best.pt",
        "dataset.json",
        "plans.json",
    ]


@pytest.mark.train
def test_validation_only_where_it_is_due(tmp_path) -> None:
    _, watch = fitted(tmp_path, [0.1, 0.2], validate_every=2)
    assert watch.logged["val/score"] == {2: 0.1, 3: 0.2} and set(watch.logged["train/loss"]) == {
        1,
        2,
        3,
    }


@pytest.mark.train
def test_the_loss_falls(tmp_path) -> None:
    """nnU-Net's loss is cross-entropy minus Dice: it ends below 0."""
    watch = Watch([0.0] * 3)
    a_model(iterations=30, lr=0.1, augment={}).fit(pictures(3), pictures(1), a_run(tmp_path, watch))
    losses = list(watch.logged["train/loss"].values())
    assert losses[0] > losses[-1] and losses[-1] < 0  # four seeds: -.95 to -.59; frozen: .90


@pytest.mark.train
def test_one_training_image_and_a_batch_of_one(tmp_path) -> None:
    watch = Watch([0.5])
    model = a_model(epochs=1, batch=1)
    model.fit(pictures(1), pictures(1), a_run(tmp_path, watch))
    assert len(held_out(model)) == 4


@pytest.mark.train
def test_a_damaged_checkpoint_falls_back_to_the_one_before(straight, tmp_path, capsys) -> None:
    model, _, _ = straight
    with pytest.raises(StopIteration):  # in the third validation
        fitted(tmp_path, [0.1, 0.3])
    newest = tmp_path / "checkpoint-00002.pth"
    newest.write_bytes(newest.read_bytes()[:5000])
    again, watch = fitted(tmp_path, [0.9, 0.3])
    assert "checkpoint-00002.pth: damaged" in capsys.readouterr().err
    assert set(watch.logged["train/loss"]) == {2, 3} and same(held_out(again), held_out(model))


@pytest.mark.train
def test_best_weights_that_are_gone_are_said(tmp_path) -> None:
    with pytest.raises(StopIteration):  # in the second validation
        fitted(tmp_path, [0.1])
    assert sorted(path.name for path in tmp_path.glob("*.p*")) == [
        "checkpoint-00001.pth",
        "epoch-00001.pt",
    ]
    (tmp_path / "epoch-00001.pt").unlink()
    with pytest.raises(RunError, match=r"best weights \(epoch-00001\.pt\) are missing"):
        fitted(tmp_path, [0.2, 0.3])


@pytest.mark.train
def test_a_full_disk_is_one_line(tmp_path, monkeypatch) -> None:
    def full(content, path):
        raise RuntimeError("PytorchStreamWriter failed writing file: No space left on device")

    monkeypatch.setattr(torch, "save", full)
    assert "checkpoint-00001.pth: can't be written (Pytorch" in failing(tmp_path, validate_every=2)


@pytest.mark.process
def test_the_blur_has_no_stopwatch(tmp_path) -> None:
    """It would time two ways of blurring and take the faster: another machine's load, other
    weights.
    """
    job = nnunet_trainer.Job(parse_recipe(TINY), {}, {}, None, [], a_run(tmp_path, Watch([])), None)
    with sealed_nnunet(job.run):
        arguments = ((64, 64), (0, 0), [[1, 1]], (0, 1), False)
        steps = nnunet_trainer.subclass_trainer(job).get_training_transforms(*arguments).transforms
        theirs = (
            nnunet_trainer.subclass_trainer(job)
            .__base__.get_training_transforms(*arguments)
            .transforms
        )
    timed = [
        [getattr(getattr(step, "transform", step), "benchmark", None) for step in each]
        for each in (theirs, steps)
    ]
    assert timed[0].count(True) == 1 and timed[1].count(True) == 0 and timed[1].count(False) == 1


@pytest.mark.process
def test_augmentation_and_mirroring_can_be_off(tmp_path) -> None:
    run = a_run(tmp_path, Watch([]))
    for changes, kinds, axes in (
        ({"augment": {}, "mirror": None}, 2, None),
        ({"mirror": []}, 10, None),
    ):
        job = nnunet_trainer.Job(parse_recipe({**TINY, **changes}), {}, {}, None, [], run, None)
        with sealed_nnunet(run):
            composed = nnunet_trainer.subclass_trainer(job).get_training_transforms(
                (64, 64), (0, 0), [[1, 1]], axes, False
            )
        assert len(composed.transforms) == kinds and nnunet_trainer.mirror_axes(job.recipe) == axes
    assert nnunet_trainer.mirror_axes(parse_recipe(TINY)) == (1,)
    assert nnunet_trainer.mirror_axes(parse_recipe({**TINY, "mirror": None})) == (0, 1)


def failing(
    tmp_path: Path, scores: tuple[float, ...] = (0.0,) * 3, weights: str | None = None, **changes
) -> str:
    """The one line of a fit that can't go on."""
    model = NnUNet(classes=2, exclusive=True, recipe={**TINY, **changes}, weights=weights)
    with pytest.raises(UsbenchError) as caught:
        model.fit(pictures(6), pictures(2), a_run(tmp_path / "run", Watch(list(scores))))
    assert "\n" not in str(caught.value) and not (tmp_path / "run/best.pt").exists()
    return f"{caught.type.__name__}: {caught.value}"


@pytest.mark.train
def test_a_loss_or_score_that_is_not_finite_ends_the_run(tmp_path) -> None:
    assert failing(tmp_path / "a", lr=1e30).startswith("RunError: nnunet: epoch 1: the loss is nan")
    assert "epoch 1: the validation score is nan" in failing(tmp_path / "b", scores=(float("nan"),))


@pytest.mark.process
def test_memory_that_runs_out_is_said(tmp_path, monkeypatch) -> None:
    with sealed_nnunet(a_run(tmp_path, Watch([]))):
        from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    def full(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(nnUNetTrainer, "train_step", full)
    message = failing(tmp_path)
    assert (
        message.startswith("RunError: nnunet: out of memory on cpu") and "recipe.batch" in message
    )


@pytest.mark.train
def test_environment_threads_chance_and_cwd_are_as_before(tmp_path) -> None:
    before = dict(os.environ), Path.cwd(), torch.get_num_threads(), torch.backends.cudnn.benchmark
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    chance = random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    watch = Watch([0.5])
    a_model(epochs=1).fit(pictures(4), pictures(1), a_run(tmp_path, watch, threads=2))
    assert watch.threads == {2}
    assert (random.random(), np.random.rand(), float(torch.rand(()))) == chance  # noqa: NPY002
    assert (
        dict(os.environ),
        Path.cwd(),
        torch.get_num_threads(),
        torch.backends.cudnn.benchmark,
    ) == before


@pytest.mark.process
def test_settings_of_its_packages_go_with_the_block(tmp_path) -> None:
    """Matplotlib, which it imports, writes a list of fonts there, in a process that only restores
    too.
    """
    with sealed_nnunet(a_run(tmp_path, Watch([]))):
        settings = Path(os.environ["MPLCONFIGDIR"])
        settings.mkdir(parents=True, exist_ok=True)
        assert settings.is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---- prediction


@pytest.mark.train
def test_a_prediction_leaves_its_neighbours_alone(straight) -> None:
    model, _, _ = straight
    samples = pictures(4, seed=1)
    assert same(held_out(model), [next(model.predict([sample.image])) for sample in samples])


@pytest.mark.train
@pytest.mark.parametrize("shape", [(17, 23), (64, 64), (131, 97)])
@pytest.mark.parametrize("kind", ["noise", "black", "framed"])
def test_any_size_and_black_images(straight, shape, kind) -> None:
    """Smaller than the patch, odd, all black, and with a black border, which nnU-Net cuts off."""
    model, _, _ = straight
    image = np.random.default_rng(0).integers(1, 255, shape).astype(np.uint8)
    if kind != "noise":
        image[: shape[0] // 2 if kind == "framed" else None] = 0
    (prediction,) = model.predict([image])
    assert (
        prediction.planes.shape == prediction.probabilities.shape == (2, *shape)
        and prediction.planes.sum(0).max() <= 1
    )
    assert (
        np.isfinite(prediction.probabilities).all()
        and 0 <= prediction.probabilities.min() <= prediction.probabilities.max() <= 1
    )
    for plane, score, probability in zip(
        prediction.planes, prediction.scores, prediction.probabilities, strict=True
    ):
        assert score == pytest.approx(probability[plane].mean() if plane.any() else 0, abs=1e-6)


# ---- weights


@pytest.mark.train
def test_weights_start_a_net_of_their_plan_only(straight, tmp_path) -> None:
    _, _, folder = straight
    model = NnUNet(
        classes=3,
        exclusive=True,
        recipe={**TINY, "epochs": 1, "lr": 0},
        weights=str(folder / "best.pt"),
    )
    three = [
        replace(s, target=Masks(np.concatenate([s.target.planes, s.target.planes[:1] & False])))
        for s in pictures(3)
    ]
    model.fit(three, three, a_run(tmp_path / "run", Watch([0.5])))
    source, ours = (
        torch.load(at / "best.pt", weights_only=True) for at in (folder, tmp_path / "run")
    )
    shared = [name for name in source if "seg_layers" not in name]
    assert shared and all(torch.equal(source[name], ours[name]) for name in shared)
    assert any(source[name].shape != ours[name].shape for name in source)
    message = failing(tmp_path / "other", weights=str(folder / "best.pt"), features=[8, 8, 8, 8])
    assert message.startswith("RunError") and "expected a state dict of this net" in message
    assert "no such file of weights" in failing(
        tmp_path / "none", weights=str(tmp_path / "none.pt")
    )


# ---- long ones


@pytest.mark.slow
def test_the_quick_recipe_learns_the_phantom(tmp_path) -> None:
    """Mean Dice of the spinal phantom's nine classes on 24 test images."""
    spec = phantom.PhantomSpec("spinal", (275, 690), {"train": 64, "val": 16, "test": 24}, seed=0)
    drawn = list(phantom.draw_samples(spec, "segment"))
    train, val, test = (
        [sample for sample in drawn if sample.split == split] for split in ("train", "val", "test")
    )
    rule, recipe = SELECTION["segment"], {**RECIPES["quick"], "size": [96, 256]}
    model = NnUNet(classes=9, exclusive=True, recipe=recipe)
    model.fit(train, val, Run(tmp_path, "cpu", 0, "fp32", os.cpu_count() or 1, rule))
    predictions = model.predict(sample.image for sample in test)
    assert rule(zip([sample.target for sample in test], predictions, strict=True)) > 0.75


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_cuda(precision, tmp_path) -> None:
    watch, model = Watch([0.1, 0.2, 0.3]), a_model()
    run = replace(a_run(tmp_path, watch), device="cuda:0", precision=precision)
    model.fit(pictures(6), pictures(4, seed=1), run)
    assert (
        len(held_out(model)) == 4 and np.isfinite(list(watch.logged["train/loss"].values())).all()
    )
