"""Detectors of torchvision and DETR: what they are built of, where boxes go, and the traps that
their packages set.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from tests.helpers.paths import ROOT
from usbench.errors import ConfigError, DataError, RunError
from usbench.metrics.detect_scorer import selection
from usbench.models import backbone as resnets
from usbench.models.detector import boxes, detr, torchvision_nets
from usbench.models.detector.model import HEADS, Detector
from usbench.models.detector.torchvision_nets import Plan
from usbench.models.loop_keys import Augment
from usbench.types import Boxes, Run, Sample

pytestmark = pytest.mark.usefixtures("one_thread")

YAMLS = {
    name: yaml.safe_load((ROOT / f"conf/model/{name}.yaml").read_text())
    for name in ("fasterrcnn", "retinanet", "fcos", "ssd300", "ssd512", "detr")
}
TINY: dict[str, Any] = {
    "size": [64, 96],
    "epochs": 2,
    "batch": 2,
    "lr": 1e-3,
    "weight_decay": 1e-4,
    "schedule": "onecycle",
    "augment": {"hflip": 0.5, "rotate": 10, "scale": 0.1},
}
NO_AUGMENT = Augment(hflip=0)


def options(name: str) -> dict[str, Any]:
    return YAMLS[name]["recipes"]["tiny"]["options"]


def detector(
    name: str, classes: int = 2, recipe: dict[str, Any] | None = None, **changes: Any
) -> Detector:
    tiny = YAMLS[name]["recipes"]["tiny"]["backbone"]
    build = {
        "architecture": YAMLS[name]["build"]["architecture"],
        "backbone": tiny,
        "weights": None,
    }
    return Detector(
        **{**build, "options": options(name), **changes},
        classes=classes,
        exclusive=True,
        recipe=recipe or TINY,
    )


def sample(n: int, size: tuple[int, int] = (72, 120), label: int = 0) -> Sample:
    """Noise with a bright block; every third frame has none."""
    rng = np.random.default_rng(n)
    image = rng.integers(20, 60, size).astype(np.uint8)
    if n % 3 == 2:
        return Sample(f"{n:03d}", f"g{n}", image, Boxes.empty())
    x, y = int(rng.integers(8, 60)), int(rng.integers(6, 30))
    image[y : y + 30, x : x + 44] = 220
    return Sample(
        f"{n:03d}",
        f"g{n}",
        image,
        Boxes(np.array([[x, y, x + 44, y + 30]], np.float32), np.array([label])),
    )


def samples(n: int) -> list[Sample]:
    return [sample(k) for k in range(n)]


def a_run(folder: Path, **changes: Any) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    return replace(Run(folder, "cpu", 0, "fp32", 1, selection), **changes)


def rows(*objects: tuple[float, float, float, float, float]) -> torch.Tensor:
    """(ROWS, 5) of one image: x1, y1, x2, y2, class."""
    table = torch.zeros(boxes.ROWS, 5)
    table[:, 4] = -1
    for n, row in enumerate(objects):
        table[n] = torch.tensor(row)
    return table


# ---- what is built

PUBLISHED = (
    "the published one gives one feature map to all heads: those of the others never get a gradient"
)
COUNTS = [  # one class on ResNet50: ours, published, why they differ
    ("fasterrcnn", 41_299_161, 41_299_161, ""),
    ("retinanet", 36_352_630, 36_352_630, ""),
    ("ssd300", 27_284_212, 24_641_780, PUBLISHED),
    ("ssd512", 27_667_596, 24_641_780, PUBLISHED),
    ("fcos", 32_117_575, None, "not in the published table"),
    ("detr", 41_524_954, 41_524_954, ""),
]


@pytest.mark.parametrize(
    ("name", "ours", "published", "why"), COUNTS, ids=[row[0] for row in COUNTS]
)
def test_parameters_are_the_published_ones_or_it_is_said_why_not(name, ours, published, why):
    full = YAMLS[name]["recipes"].get("kumar2025", {"backbone": "resnet50", "options": None})
    for weights in (None, "imagenet"):  # frozen or not, the same parameters
        net = detector(
            name, 1, backbone=full["backbone"], options=full.get("options"), weights=weights
        ).create()
        assert sum(parameter.numel() for parameter in net.parameters()) == ours
    assert (ours == published) == (not why)


@pytest.mark.train
@pytest.mark.parametrize("name", YAMLS)
def test_every_parameter_learns(name):
    """The published SSD's heads 2 to 6 don't."""
    torch.manual_seed(0)
    net = detector(name, recipe={**TINY, "size": [96, 96]}).build().train()
    net(torch.rand(2, 1, 96, 96))(
        torch.stack([rows((8, 8, 40, 40, 0), (2, 2, 90, 90, 1)), rows()])
    ).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.requires_grad] == []


@pytest.mark.parametrize("name", ["fasterrcnn", "detr"])
def test_from_scratch_nothing_is_frozen_and_with_weights_the_stem_is(name):
    """Frozen batch norm with no statistics to freeze would be no normalisation at all."""
    chosen = {} if name == "fasterrcnn" else options(name)
    scratch, pretrained = (
        detector(name, weights=weights, options=chosen).create() for weights in (None, "coco")
    )
    kinds = [{type(layer).__name__ for layer in net.modules()} for net in (scratch, pretrained)]
    assert not any("Frozen" in kind for kind in kinds[0]) and "BatchNorm2d" in kinds[0]
    assert any("Frozen" in kind for kind in kinds[1]) and "BatchNorm2d" not in kinds[1]
    fixed = [key for key, parameter in pretrained.named_parameters() if not parameter.requires_grad]
    assert {re.search(r"(?:body|backbone\.model)\.(\w+)", key)[1] for key in fixed} == {
        "conv1",
        "layer1",
    }  # type: ignore[index]


def test_the_norm_is_the_one_asked_for():
    """torchvision's own builder swallows norm_layer without a word."""
    for norm, kind in (("batch", "BatchNorm2d"), ("group", "GroupNorm")):
        net = torchvision_nets.build_fasterrcnn(
            Plan("resnet18", 1, False), norm=norm, channels=32, representation=16
        )
        assert {
            type(layer).__name__
            for layer in net.net.backbone.body.modules()
            if "Norm" in type(layer).__name__
        } == {kind}
    with pytest.raises(
        ConfigError, match=r"options\.norm: expected one of frozen, batch, group, got 'layer'"
    ):
        torchvision_nets.build_fasterrcnn(Plan("resnet18", 1, False), norm="layer")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "yolo"}, "architecture: expected one of fasterrcnn"),
        ({"backbone": "vgg16"}, "backbone: expected one of resnet10w32"),
        ({"options": {"chanels": 8}}, "chanels"),
        ({"recipe": {**TINY, "size": [60, 96]}}, "a multiple of 32"),
        ({"recipe": {**TINY, "turn": 0.5}}, "a square size"),
        ({"recipe": {**TINY, "blur": {"gauss": 0.5}}}, "unknown recipe key 'blur.gauss'"),
    ],
)
def test_what_cannot_be_is_a_configuration_error(changes, message):
    with pytest.raises(ConfigError, match=message):
        detector("fasterrcnn", **changes).create()


# ---- what torchvision does behind one's back


@pytest.mark.parametrize("name", ["fasterrcnn", "retinanet", "fcos", "ssd300"])
def test_neither_low_scores_nor_the_box_after_the_hundredth_are_dropped(name):
    net = detector(name).build()
    part = net.net.roi_heads if name == "fasterrcnn" else net.net
    assert part.score_thresh == 0.001 and part.detections_per_img == 300


@pytest.mark.parametrize("name", ["fasterrcnn", "retinanet", "fcos", "ssd300"])
def test_the_backbone_sees_what_the_recipe_says(name):
    """torchvision would enlarge to 800 px and normalise once more."""
    seen = []
    net = detector(name).build().eval()
    net.net.backbone.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    x = torch.randn(2, 1, 64, 96)
    with torch.no_grad():
        net(x)
    assert torch.equal(seen[0], x.expand(-1, 3, -1, -1))


@pytest.mark.parametrize("name", ["retinanet", "fcos"])
def test_the_class_that_never_occurs_takes_no_places(name):
    """Their class 0 is nothing's, yet from scratch it scores as high as any: half of the 300
    places.
    """
    torch.manual_seed(0)
    net = detector(name, classes=1).build().eval()
    with torch.no_grad():
        (_, labels, scores) = net(torch.rand(1, 1, 64, 96))[0]
    assert set(labels.tolist()) == {0} and (scores > 0).all()


def test_a_false_alarm_in_an_empty_image_costs_ssd_something():
    """Hard negatives mined per image, as torchvision does, are three times no object: none."""
    torch.manual_seed(0)
    net = detector("ssd300").build().train()
    assert net(torch.rand(2, 1, 64, 96))(torch.stack([rows(), rows()])).item() > 0.1


@pytest.mark.parametrize("name", YAMLS)
def test_bf16_makes_boxes_and_losses_in_fp32(name):
    torch.manual_seed(0)
    net = detector(name).build().train()
    x, y = torch.rand(2, 1, 64, 96), torch.stack([rows((8, 8, 40, 40, 0)), rows()])
    with torch.autocast("cpu", torch.bfloat16):
        cost = net(x)(y)
        with torch.no_grad():
            result = net.eval()(x)
    assert cost.dtype == torch.float32 and cost.isfinite()
    assert all(xyxy.dtype == scores.dtype == torch.float32 for xyxy, _, scores in result)


# ---- boxes and pixels


def test_boxes_are_stretched_from_edge_to_edge():
    image = np.zeros((100, 200), np.uint8)
    target = Boxes(
        np.array([[0, 0, 200, 100], [50, 25, 100, 50], [190, -10, 230, 120]], np.float32),
        np.array([0, 2, 1]),
    )
    stored = boxes.to_rows(Sample("a", "g", image, target), (50, 50))
    assert stored[:4].tolist() == [
        [0, 0, 50, 50, 0],
        [12.5, 12.5, 25, 25, 2],
        [47.5, 0, 50, 50, 1],
        [0, 0, 0, 0, -1],
    ]
    back = boxes.stretch(boxes.to_target(stored).xyxy, (50, 50), (100, 200))
    assert back[:2].tolist() == target.xyxy[:2].tolist()


def test_a_box_without_area_is_left_out_and_too_many_are_refused():
    image = np.zeros((64, 64), np.uint8)
    flat = Boxes(
        np.array([[5, 5, 5, 9], [5, 9, 9, 5], [70, 2, 80, 9], [1, 1, 2, 2]], np.float32),
        np.array([0, 0, 0, 1]),
    )
    stored = boxes.to_rows(Sample("a", "g", image, flat), (32, 32))
    assert boxes.to_target(stored).labels.tolist() == [1]
    many = Boxes(np.tile(np.float32([1, 1, 2, 2]), (300, 1)), np.zeros(300, np.int64))
    with pytest.raises(DataError, match="a: expected at most 256 boxes in an image, got 300"):
        boxes.to_rows(Sample("a", "g", image, many), (32, 32))


def test_a_prediction_keeps_the_best_three_hundred():
    n = 400
    xyxy, scores = torch.tensor([[0.0, 0, 5, 5]]).repeat(n, 1), torch.linspace(0, 0.9, n)
    xyxy[-1, 2] = 0  # no area
    prediction = boxes.to_prediction(xyxy, torch.zeros(n, dtype=torch.long), scores)
    assert len(prediction.labels) == 300 and prediction.scores is not None
    assert prediction.scores[0] == scores[-2] and (np.diff(prediction.scores) <= 0).all()
    few = boxes.to_prediction(
        xyxy[:2], torch.zeros(2, dtype=torch.long), torch.tensor([0.0009, 0.0011])
    )
    assert few.scores is not None and few.scores.tolist() == pytest.approx([0.0011])


@pytest.mark.parametrize(
    ("spec", "turn"),
    [
        (NO_AUGMENT, 0.0),
        (Augment(hflip=0.5, vflip=0.5), 1.0),
        (Augment(hflip=0.5, scale=0.3, shift=0.1), 0.0),
        (Augment(hflip=0, rotate=25, shear=10), 0.5),
    ],
)
def test_boxes_move_with_the_image(spec, turn):
    """The box around a bright ellipse, wherever augmentation takes it."""
    y, x = np.mgrid[:128, :128]
    ellipse = (((x + 0.5 - 70) / 24) ** 2 + ((y + 0.5 - 60) / 13) ** 2 <= 1) * np.uint8(255)
    image, table = torch.from_numpy(ellipse)[None], rows((46, 47, 94, 73, 1))[None]
    for seed in range(12):
        rng = torch.Generator().manual_seed(seed)
        moved, placed = boxes.augment_boxes(image, table, spec, rng, turn, {})
        result = boxes.to_target(placed[0].numpy())
        ys, xs = np.nonzero(moved[0, 0].numpy() > 0.5)
        around = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert result.labels.tolist() == [1] and np.abs(result.xyxy[0] - around).max() < 1.6, seed


def test_a_box_that_is_pushed_out_of_the_picture_is_none_any_more():
    table = torch.stack([rows((0, 10, 20, 30, 0), (40, 10, 60, 30, 1))])
    matrix = torch.tensor(
        [[[1.0, 0, 0.5], [0, 1, 0]]]
    )  # the output's left edge lies 16 px into the input
    placed = boxes.to_target(boxes.move_boxes(table, matrix, (64, 64))[0].numpy())
    assert placed.labels.tolist() == [1] and placed.xyxy.tolist() == [
        [24, 10, 44, 30]
    ]  # of the other, a fifth is left


def test_blurring_is_of_the_images_it_hits_only():
    image = torch.zeros(64, 1, 15, 15)
    image[:, :, 7, 7] = 1
    rng = torch.Generator().manual_seed(0)
    assert torch.equal(boxes.blur_some(image, {"plain": 0.0}, rng), image)
    plain = boxes.blur_some(image, {"plain": 1.0}, rng)
    assert torch.allclose(plain[:, 0, 6:9, 6:9], torch.tensor(1 / 9)) and torch.allclose(
        plain.sum((2, 3)), torch.tensor(1.0)
    )
    assert boxes.blur_some(image, {"median": 1.0}, rng).max() == 0
    motion = boxes.blur_some(image, {"motion": 1.0}, rng)
    assert {round(1 / peak) for peak in motion.amax((1, 2, 3)).tolist()} == {3, 5, 7}
    assert torch.allclose(motion.sum((2, 3)), torch.tensor(1.0), atol=1e-5)
    some = (boxes.blur_some(image, {"plain": 0.5}, rng) != image).flatten(1).any(1).float().mean()
    assert 0.3 < some < 0.7


@pytest.mark.train
@pytest.mark.parametrize("name", ["fasterrcnn", "retinanet", "fcos", "ssd300"])
def test_a_learnt_box_is_found_where_it_lies_in_native_pixels(name, tmp_path):
    """Within 6 px, on an image that is half as large again as the net's, with other sides."""
    picture = sample(0, (100, 150), label=1)
    recipe = {**TINY, "epochs": 3, "augment": {"hflip": 0.0}, "lr": 2e-3}
    model = detector(name, recipe=recipe)
    model.fit([picture] * 40, [picture], a_run(tmp_path))
    (prediction,) = model.predict([picture.image])
    assert (
        prediction.scores is not None and prediction.scores[0] > 0.3 and prediction.labels[0] == 1
    )
    # px; five seeds: .3 to 2.7, scores from .81; frozen: 23 to 74
    assert np.abs(prediction.xyxy[0] - picture.target.xyxy[0]).max() <= 6, prediction.xyxy[0]


# ---- DETR's loss


def test_every_object_gets_the_query_that_costs_least():
    prediction = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2], [0.8, 0.8, 0.1, 0.1]])
    target = torch.tensor([[0.21, 0.2, 0.2, 0.2], [0.5, 0.52, 0.2, 0.2]])
    query, ours = detr.assign_queries(torch.zeros(3, 3), prediction, torch.tensor([0, 1]), target)
    assert query.tolist() == [0, 1] and ours.tolist() == [1, 0]


def test_detr_s_loss_by_hand():
    """One query on its object exactly, one on nothing, both at even odds of two outputs: only the
    entropy is left.
    """
    logits, side = torch.zeros(1, 2, 2), torch.tensor([10.0, 20, 10, 20])
    prediction = torch.tensor([[[0.3, 0.3, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2]]])
    target = rows((2, 4, 4, 8, 0))[None]
    assert detr.set_loss(logits, prediction, side, target).item() == pytest.approx(
        np.log(2), abs=1e-5
    )
    away = detr.set_loss(logits, prediction + torch.tensor([0.1, 0, 0, 0]), side, target).item()
    overlap = 1 / 3  # half of each box, and their hull is their union
    assert away == pytest.approx(np.log(2) + 5 * 0.1 + 2 * (1 - overlap), abs=1e-4)
    assert detr.set_loss(logits, prediction, side, rows()[None]).item() == pytest.approx(
        np.log(2), abs=1e-5
    )


def test_detr_without_transformers_is_one_clear_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        RunError,
        match=r"model=detr needs the package transformers.*pip install 'usbench\[transformers\]'",
    ):
        detector("detr").build()


@pytest.mark.train
def test_detr_s_loss_falls_on_eight_pictures(tmp_path):
    losses: list[float] = []
    recipe = {**TINY, "epochs": 6, "batch": 4, "augment": {"hflip": 0.0}}

    def log(name: str, value: float, step: int) -> None:
        if name == "train/loss":
            losses.append(value)

    detector("detr", recipe=recipe).fit(
        [sample(3 * n) for n in range(8)] * 5, samples(2), a_run(tmp_path, log=log)
    )
    assert losses[-1] < 0.75 * losses[0]  # five seeds: .49 to .50; frozen: 1.00


# ---- training


@pytest.mark.train
@pytest.mark.parametrize("name", YAMLS)
def test_images_without_a_box_are_training_images(name, tmp_path):
    empty = [replace(picture, target=Boxes.empty()) for picture in samples(3)]
    model = detector(name, recipe={**TINY, "epochs": 1})
    model.fit(empty, [*samples(1), *empty[:1]], a_run(tmp_path))
    assert len(list(model.predict([empty[0].image]))) == 1
    assert all(torch.isfinite(value).all() for value in model.net.state_dict().values())


@pytest.mark.train
@pytest.mark.parametrize("name", YAMLS)
def test_a_loss_that_is_not_finite_ends_the_run(name, tmp_path):
    model = detector(name, recipe={**TINY, "lr": 1e30, "schedule": "cosine"})
    with pytest.raises(RunError, match=r"epoch \d: the training loss is (nan|inf)"):
        model.fit(samples(6), samples(2), a_run(tmp_path))


# ---- weights


@pytest.mark.parametrize("name", ["fasterrcnn", "retinanet", "ssd300", "detr"])
@pytest.mark.parametrize("frozen", [False, True])
def test_weights_from_a_file_fill_all_but_what_depends_on_the_classes(name, frozen, tmp_path):
    """Those of a net from scratch too, whose normalisation has no scale and shift, where a frozen
    one has both.
    """
    path, chosen = tmp_path / "w.pt", options(name)
    if frozen and name != "detr":
        chosen = {**chosen, "norm": "frozen"}
    first = detector(name, classes=2, options=chosen).build().state_dict()
    torch.save(first, path)
    for classes in (2, 3):
        ours = (
            detector(name, classes=classes, weights=str(path), options=chosen).build().state_dict()
        )
        changed = {key for key in first if key in ours and not alike(first[key], ours[key])}
        assert bool(changed) == (classes == 3) and all(
            key.startswith(HEADS[key_of(name)]) for key in changed
        )
        assert all(key in ours or key.endswith("num_batches_tracked") for key in first)


def key_of(name: str) -> str:
    return str(YAMLS[name]["build"]["architecture"])


def alike(first: torch.Tensor, other: torch.Tensor) -> bool:
    return first.shape == other.shape and torch.equal(first, other)


@pytest.mark.parametrize("content", [None, b"no weights", "list", "other"])
def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "w.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save([1] if content == "list" else {"layer": torch.zeros(3)}, path)
    with pytest.raises(RunError, match=r"w\.pt: ") as wrong:
        detector("retinanet", weights=str(path)).build()
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("fasterrcnn", "imagenet", "weights=imagenet for resnet50 could not be fetched"),
        ("retinanet", "coco", "weights=coco for retinanet could not be fetched"),
        ("detr", "imagenet", "weights=imagenet for resnet50 could not be fetched"),
        ("detr", "coco", r"weights=coco for detr \(facebook/detr-resnet-50\) could not be fetched"),
    ],
)
def test_weights_that_cannot_be_fetched_are_one_clear_sentence(
    name, weights, message, tmp_path, monkeypatch
):
    def refused(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("socket.getaddrinfo", refused)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_OFFLINE", True
    )  # else it tries again and again
    chosen = {} if name != "detr" else options(name)
    with pytest.raises(RunError, match=message) as wrong:
        detector(name, weights=weights, backbone="resnet50", options=chosen).build()
    assert "\n" not in str(wrong.value) and "model.build.weights=null" in str(wrong.value)


def test_coco_s_weights_exist_for_some_only():
    for name, backbone in (
        ("ssd300", "resnet50"),
        ("fasterrcnn", "resnet18"),
        ("detr", "resnet18"),
    ):
        with pytest.raises(
            ConfigError,
            match=r"weights=coco: there are such weights for .* take imagenet, null or a file",
        ):
            detector(name, weights="coco", backbone=backbone).build()


@pytest.mark.parametrize("name", ["fasterrcnn", "retinanet", "fcos"])
def test_the_names_are_those_of_torchvision_s_own_builders(name, monkeypatch):
    """… whose weights they take: all of them but what depends on the classes."""
    from torchvision.models import detection

    ours = {
        "fasterrcnn": detection.fasterrcnn_resnet50_fpn,
        "retinanet": detection.retinanet_resnet50_fpn_v2,
        "fcos": detection.fcos_resnet50_fpn,
    }[name](weights=None, weights_backbone=None)
    monkeypatch.setattr(resnets, "fetch", lambda weights, what: ours.state_dict())
    net = (
        detector(name, classes=1, weights="coco", backbone="resnet50", options={})
        .build()
        .state_dict()
    )
    source = {
        f"net.{k}": v for k, v in ours.state_dict().items() if not k.endswith("num_batches_tracked")
    }
    changed = [key for key, value in source.items() if not alike(value, net[key])]
    assert changed and all(key.startswith(HEADS[name]) for key in changed)


# ---- through the command


@pytest.mark.parametrize("name", YAMLS)
def test_the_recipes_of_the_repository_can_be(name):
    for recipe_name, recipe in YAMLS[name]["recipes"].items():
        size = recipe["size"] if isinstance(recipe["size"], list) else [recipe["size"]] * 2
        trained = {
            key: value for key, value in recipe.items() if key not in ("backbone", "options")
        }
        Detector(
            YAMLS[name]["build"]["architecture"],
            recipe["backbone"],
            None,
            1,
            True,
            {**trained, "size": size},
        )
        assert recipe_name != "kumar2025" or recipe["unstated"]
