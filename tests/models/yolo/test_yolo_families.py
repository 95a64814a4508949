"""The other nets of ultralytics beside YOLOv8, and batches in parts: counts, traps, each from end
to end.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from tests.helpers.paths import ROOT
from tests.helpers.watched import Watch, a_run
from tests.models.yolo.test_yolo import RECIPE, TINY, bright_part, images, pictures, same
from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError
from usbench.io.console import bar
from usbench.models.checkpoints import list_checkpoints, load_file, load_first
from usbench.models.yolo.boxes import Fit, fit_image, outputs, predict_boxes, read_queries
from usbench.models.yolo.model import Yolo
from usbench.models.yolo.package import build_net, sealed_ultralytics
from usbench.models.yolo.recipe import FAMILIES, choose_net, training_arguments
from usbench.models.yolo.trainer import subclass_trainer
from usbench.runner.resolve import resolve_config, resolve_model

pytestmark = pytest.mark.usefixtures("one_thread")

MODELS = {"yolov5su": "yolov5u", "yolo11": "yolo11", "yolo26": "yolo26", "rtdetr": "rtdetr"}
YAMLS = {
    name: yaml.safe_load((ROOT / f"conf/model/{name}.yaml").read_text())
    for name in [*MODELS, "yolov8_pose"]
}
DECODER = YAMLS["rtdetr"]["recipes"]["tiny"]["options"]


def options_of(family: str) -> dict[str, int] | None:
    return DECODER if family == "rtdetr" else None


# ---- what is built

COUNTS = [  # family, size, classes: ours, published, why they differ
    ("yolov8", "m", 1, 25_856_899, 25_856_899, ""),  # Kumar 2025
    (
        "yolov5u",
        "s",
        8,
        9_125_288,
        7_041_205,
        "published for v7.0, anchor-based: no maintained package builds it",
    ),
    ("yolo11", "n", 1, 2_590_035, None, "not in a published table of ours"),
    ("yolo26", "n", 1, 2_504_190, None, "not in a published table of ours"),
    ("rtdetr", "l", 1, 32_808_131, None, "not in a published table of ours"),
    (
        "rtdetr",
        "n",
        1,
        9_481_523,
        None,
        "YOLOv8's smallest trunk under RT-DETR's decoder: published nowhere",
    ),
]


@pytest.mark.parametrize(("family", "size", "classes", "count", "published", "why"), COUNTS)
def test_parameters_are_the_published_ones_or_it_is_said_why(
    family, size, classes, count, published, why, tmp_path
):
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        net = build_net(choose_net(family, size, classes, None))
    assert sum(p.numel() for p in net.parameters()) == count
    assert (count == published) == (not why)


def test_yolov5su_is_never_taken_for_v7():
    text = (ROOT / "conf/model/yolov5su.yaml").read_text()
    assert (
        "NOT YOLOv5 v7.0" in text
        and "not the published net" in YAMLS["yolov5su"]["recipes"]["nnus2023"]["note"]
    )
    assert choose_net("yolov5u", "s", 1, None).label == "yolov5su"


def test_every_size_of_every_family_has_its_plan(tmp_path):
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        from ultralytics.utils import ROOT as PACKAGE
        from ultralytics.utils import YAML
    for family in FAMILIES.values():
        for path, scale in family.plans.values():
            assert scale in YAML.load(PACKAGE / "cfg/models" / path)["scales"], (family.name, path)


def test_yolo26_predicts_with_the_head_that_the_package_predicts_with(tmp_path):
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        net = build_net(choose_net("yolo26", "n", 2, None)).eval()
    assert net.end2end is False and net(torch.zeros(1, 3, 64, 64))[0].shape == (1, 4 + 2, 84)


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("yolov7", {}, "model.build.family: expected one of yolov8, yolov5u"),
        (
            "yolo11",
            {"size": "resnet50"},
            "yolo11: size: expected one of n, s, m, l, x, got 'resnet50'",
        ),
        (
            "yolo11",
            {"options": {"queries": 5}},
            "options: expected whole numbers from 1 on for none",
        ),
        ("rtdetr", {"options": {"queries": 0}}, "got queries=0"),
        (
            "rtdetr",
            {"recipe": {"rect": True}},
            "unknown recipe key 'rect' for rtdetr",
        ),  # it is stretched to a square
        (
            "rtdetr",
            {"recipe": {"dfl": 1.5}},
            "unknown recipe key 'dfl' for rtdetr",
        ),  # its loss knows none
        ("yolo26", {"recipe": {"imgsz": 100}}, "imgsz=100: expected a multiple of 32"),
    ],
)
def test_what_cannot_be_is_refused(family, change, message):
    build = {"size": "n", "classes": 1, **change, "recipe": {**TINY, **change.get("recipe", {})}}
    with pytest.raises(ConfigError, match=message):
        Yolo(family=family, **build)


def test_the_recipes_of_the_repository_can_be():
    for name, config in YAMLS.items():
        assert {"tiny", "quick", "standard"} <= set(config["recipes"]), name
        for recipe in config["recipes"].values():
            family = config["build"]["family"]
            training_arguments(
                {k: v for k, v in recipe.items() if k != "options"}, FAMILIES[family]
            )
            choose_net(family, recipe["size"], 3, recipe.get("options"))
    paper = YAMLS["yolov5su"]["recipes"]["nnus2023"]
    assert (paper["size"], paper["imgsz"], paper["batch"], paper["epochs"]) == ("s", 640, 32, 100)
    assert paper["unstated"]


def test_what_yolov8_gets_is_what_its_committed_results_got(compose):
    """Another key in the YAML, even one of null, would be another key of the run."""
    for path in (ROOT / "results/usgra/detect").glob("yolov8-*.json"):
        committed = json.loads(path.read_text())
        config = compose("dataset=usgra", "model=yolov8", f"recipe={committed['recipe']}")
        _, model = resolve_model(config, DatasetConfig.from_mapping(config["dataset"]), real=True)
        assert {"build": model.build, "recipe": model.recipe} == {
            k: committed["config"]["model"][k] for k in ("build", "recipe")
        }


# ---- training


def fitted(folder: Path, family: str, watch: Watch, **changes) -> Yolo:
    model = Yolo(
        classes=2, recipe={**RECIPE, **changes}, size="n", family=family, options=options_of(family)
    )
    model.fit(pictures(9), pictures(4, seed=1), a_run(folder, watch))
    return model


@pytest.mark.train
@pytest.mark.parametrize("family", ["yolo26", "rtdetr"])
def test_stopped_and_started_again_ends_as_if_not(family, tmp_path, checkpoint_each_epoch):
    """YOLO26's loss shifts from one head to the other by epoch: it must resume where it was."""
    straight, whole = Watch([0.1, 0.2, 0.3]), Watch([0.1, 0.2, 0.3])
    model = fitted(tmp_path / "straight", family, straight, micro_batch=2)

    class Stopped(Watch):
        def log(self, name, value, step):
            if step == 3:
                raise KeyboardInterrupt
            super().log(name, value, step)

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "run", family, Stopped([0.1, 0.2, 0.3]), micro_batch=2)
    whole.scores = iter([0.3])
    again = fitted(tmp_path / "run", family, whole, micro_batch=2)
    assert whole.logged["train/loss"] == {3: straight.logged["train/loss"][3]}
    assert same(*(list(m.predict(images(pictures(4, seed=1)))) for m in (model, again)))


@pytest.mark.train
@pytest.mark.parametrize("micro_batch", [None, 4, 2, 1])
def test_parts_make_the_same_number_of_steps(micro_batch, tmp_path, checkpoint_each_epoch):
    """9 images in batches of 4: three steps an epoch, however small the parts; nothing is carried
    to the next one.
    """
    steps = []

    class Counting(Watch):
        def log(self, name, value, step):
            if name == "train/loss" and step > 1:
                steps.append(
                    load_first(list_checkpoints(tmp_path), load_file)["updates"]
                )  # of the epoch before: the average moves with every step

    fitted(tmp_path, "yolov8", Counting([0.1, 0.2, 0.3]), micro_batch=micro_batch)
    assert steps == [3, 6]


@pytest.mark.parametrize(("kind", "expected"), [("rtdetr", [1, 1, 1]), ("yolov8", [2, 2, 1])])
def test_the_parts_gradients_add_up_to_a_batch_s(kind, expected):
    """Where the loss is a mean over the images they are divided by the number of parts; where it is
    a sum, not.
    """

    class Theirs:
        def __init__(self) -> None:
            self.model, self.train_loader = torch.nn.Linear(1, 1, bias=False), range(5)
            self.model.weight.grad, self.taken = torch.zeros(1, 1), []

        def optimizer_step(self) -> None:
            self.taken.append(float(self.model.weight.grad))
            self.model.weight.grad.zero_()

    with bar("training", 1) as progress:
        job = SimpleNamespace(parts=2, net=choose_net(kind, "n", 1, None), bar=progress)
        trainer = subclass_trainer(Theirs, job, (5, 5), lambda _: None, lambda *_: None)()
        for _ in trainer.train_loader:
            trainer.model.weight.grad += 1
            trainer.optimizer_step()
    assert trainer.taken == expected


@pytest.mark.train
def test_a_batch_s_parts_hold_the_batch_s_images(tmp_path):
    """A step from parts moves the weights as the batch's does: batch normalisation apart, which
    sees a part.
    """
    moved = {}  # of a layer that starts the same whatever the seed
    for micro_batch in (None, 1):
        watch = Watch([0.5])
        fitted(
            tmp_path / str(micro_batch),
            "yolov8",
            watch,
            micro_batch=micro_batch,
            epochs=1,
            lr0=1e-3,
        )
        weights = torch.load(tmp_path / str(micro_batch) / "best.pt", weights_only=False)[
            "model"
        ].state_dict()
        moved[micro_batch] = weights["model.22.cv2.0.2.bias"]
    with sealed_ultralytics(a_run(tmp_path / "x", Watch([]))):
        start = build_net(choose_net("yolov8", "n", 2, None)).state_dict()["model.22.cv2.0.2.bias"]
    whole, by_parts = (moved[part] - start for part in (None, 1))
    similarity = torch.nn.functional.cosine_similarity(whole, by_parts, dim=0)
    assert similarity > 0.5  # five seeds: .90 to .95; frozen: 0


# ---- RT-DETR's boxes


@pytest.mark.parametrize("shape", [(275, 690), (97, 61), (320, 320)])
def test_a_query_s_box_comes_back_where_it_was(shape):
    """The net sees the image stretched to a square, and answers in shares of it."""
    height, width = shape
    target = [width // 4, height // 3, width // 4 + width // 2, height]
    image = np.zeros(shape, np.uint8)
    image[target[1] : target[3], target[0] : target[2]] = 255

    def net(pixels: torch.Tensor) -> tuple[torch.Tensor]:
        assert pixels.shape[2:] == (320, 320)
        (bright,) = bright_part(pixels)
        rows = torch.cat([bright[:, :4, 0] / 320, bright[:, 4:, 0], torch.ones(len(bright), 1)], 1)
        return (rows[:, None],)

    fit = Fit(320, False, "cpu", stretched=True)
    (boxes,) = predict_boxes(net, [fit_image(image, fit)], fit)
    np.testing.assert_allclose(boxes.xyxy[0], target, atol=1.2 * max(1.0, max(shape) / 320))
    assert boxes.labels.tolist() == [1] and boxes.scores.tolist() == pytest.approx([0.9])


def test_queries_come_best_first_without_suppression():
    rows = torch.tensor(
        [[0.5, 0.5, 0.2, 0.2, 0.3, 0], [0.5, 0.5, 0.2, 0.2, 0.9, 0], [0.1, 0.1, 0.1, 0.1, 1e-3, 1]]
    )
    xyxy, scores, labels = read_queries(rows, 100)
    assert scores.tolist() == pytest.approx([0.9, 0.3]) and labels.tolist() == [0, 0]
    torch.testing.assert_close(xyxy, torch.tensor([[40.0, 40, 60, 60]] * 2))


@pytest.mark.train
def test_what_is_trained_on_is_stretched_as_what_is_predicted_on(tmp_path, monkeypatch):
    """The pixels of ultralytics' own loader, without augmentation, against ours."""
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        from ultralytics.nn.tasks import RTDETRDetectionModel
    trained, fed = [], []
    theirs = RTDETRDetectionModel.loss

    def loss(net, batch, preds=None):
        trained.append(batch["img"].clone())
        return theirs(net, batch, preds)

    def net(pixels: torch.Tensor) -> tuple[torch.Tensor]:
        fed.append(pixels)
        return (torch.zeros(len(pixels), 1, 6),)

    monkeypatch.setattr(RTDETRDetectionModel, "loss", loss)
    picture = pictures(2)[1]
    assert picture.image.shape == (61, 97)
    model = Yolo(
        classes=2, recipe={**TINY, "epochs": 1}, size="n", family="rtdetr", options=DECODER
    )
    model.fit([picture], [picture], a_run(tmp_path / "run", Watch([0.5])))
    seen = fit_image(picture.image, Fit(64, False, "cpu", stretched=True))
    assert len(list(outputs(net, [seen], "cpu", 1))) == 1
    assert torch.equal(trained[0], fed[0])


# ---- from end to end


def test_parts_stand_in_the_record(tmp_path, compose):
    """Set on the command line alone; the step, and its batch, stay what they were."""
    overrides = [
        "dataset=phantom",
        "model=yolov8",
        "recipe=tiny",
        "source=phantom",
        "dataset.phantom.counts={train:4,val:4,test:4}",
        "dataset.phantom.size=[64,64]",
        f"runs={tmp_path}",
    ]
    plain, in_parts = (
        resolve_config(compose(*overrides, *more))
        for more in ((), ("+model.recipes.tiny.micro_batch=2",))
    )
    assert "micro_batch" not in plain.model.recipe and plain.run_id != in_parts.run_id
    assert in_parts.model.recipe == {**plain.model.recipe, "micro_batch": 2}
