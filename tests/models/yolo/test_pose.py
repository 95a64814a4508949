"""Points by ultralytics' pose nets: places to the half pixel, what is unknown, what is a curve,
sigmas and flips.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.helpers.watched import Watch, a_run
from tests.models.yolo.test_yolo import TINY
from usbench.errors import ConfigError, DataError
from usbench.models.yolo.boxes import Fit, fit_image
from usbench.models.yolo.model import Yolo
from usbench.models.yolo.package import build_net, make_criterion, sealed_ultralytics
from usbench.models.yolo.points import (
    Points,
    count_points,
    curves_of,
    ignore_unknown,
    parse_points,
    point_lines,
    predict_points,
    to_landmarks,
)
from usbench.models.yolo.recipe import choose_net
from usbench.results.scoring import SELECTION
from usbench.types import BLURRED, OFF, SEEN, Landmarks, Sample

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = 3  # the bright block's corner, the dark block's corner, a curve
POINTS_ONLY = np.array([False, False, False])
WITH_CURVE = np.array([False, False, True])


def picture(n: int, size: tuple[int, int] = (72, 96)) -> Sample:
    """Noise with a bright block and a dark one to its right, and a point in the middle of each;
    every fourth picture lacks the dark one. The third name is a curve.
    """
    rng = np.random.default_rng(n)
    image = rng.integers(90, 130, size).astype(np.uint8)
    places, state = [], [SEEN, OFF if n % 4 == 3 else SEEN, SEEN]
    left, top = int(rng.integers(2, size[1] - 52)), int(rng.integers(2, size[0] - 32))
    for grey, there, x, y in zip((240, 10), state, (left, left + 28), (top, top + 8), strict=False):
        if there == SEEN:
            image[y : y + 20, x : x + 20] = grey
        places.append(
            np.array([[x + 9.5, y + 9.5]], np.float32)
            if there == SEEN
            else np.zeros((0, 2), np.float32)
        )
    curve = np.array([[3, 3], [20, 9], [40, 3]], np.float32)
    return Sample(f"{n:03d}", f"g{n}", image, Landmarks((*places, curve), np.array(state, np.int8)))


def pictures(count: int) -> list[Sample]:
    return [picture(n) for n in range(count)]


def pose(**changes) -> Yolo:
    arguments = {"classes": NAMES, "size": "n", "kpt_oks_sigmas": 0.05, **changes}
    return Yolo(
        **{**arguments, "recipe": {**TINY, **changes.get("recipe", {})}, "family": "yolov8_pose"}
    )


def a_landmark_run(folder: Path, **changes):
    return replace(a_run(folder, Watch([])), score=SELECTION["landmark"], **changes)


# ---- what is told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kpt_oks_sigmas": None}, "kpt_oks_sigmas"),  # theirs: 1 / number of names, in silence
        ({"kpt_oks_sigmas": 0}, "kpt_oks_sigmas"),
        ({"kpt_oks_sigmas": [0.1, 0.1]}, "or 3 of them"),
        ({"kpt_oks_sigmas": True}, "kpt_oks_sigmas"),
        (
            {"recipe": {"augment": {"fliplr": 0.5}}},
            "needs model.build.flip_idx",
        ),  # theirs: switched off
        ({"flip_idx": [1, 1, 2]}, "each of 0..2 once"),
        ({"recipe": {"augment": {"mosaic": 1.0}}}, "unknown recipe key 'augment.mosaic'"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        pose(**change)


@pytest.mark.train
def test_sigmas_reach_the_loss_and_flips_the_data(tmp_path, monkeypatch):
    points = parse_points([0.1, 0.2, 0.3], [1, 0, 2], 3, {"fliplr": 0.5})
    assert points == Points((0.1, 0.2, 0.3), (1, 0, 2)) and parse_points(
        0.1, None, 2, None
    ) == Points((0.1, 0.1), ())
    watch = Watch([0.0])
    model = pose(
        kpt_oks_sigmas=[0.1, 0.2, 0.3],
        flip_idx=[1, 0, 2],
        recipe={"epochs": 1, "augment": {"fliplr": 0.5}},
    )
    seen = []
    with sealed_ultralytics(a_run(tmp_path, watch)):
        from ultralytics.utils.loss import KeypointLoss
    theirs = KeypointLoss.forward

    def forward(loss, *arguments):
        seen.append(loss.sigmas.tolist())
        return theirs(loss, *arguments)

    monkeypatch.setattr(KeypointLoss, "forward", forward)
    model.fit(pictures(4), pictures(2), a_run(tmp_path / "run", watch))
    assert seen[0] == pytest.approx([0.1, 0.2, 0.3])


def test_the_net_has_a_place_and_a_presence_for_every_name(tmp_path):
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        net = build_net(choose_net("yolov8_pose", "n", 5, None)).eval()
        coco = build_net(choose_net("yolov8_pose", "n", 17, None))
    assert net(torch.zeros(1, 3, 64, 64))[0].shape == (1, 4 + 1 + 5 * 3, 84)
    assert (
        sum(p.numel() for p in coco.parameters()) == 3_295_470
    )  # YOLOv8n-pose as its authors count it: 3.3 M


# ---- labels and predictions


def test_a_label_by_hand():
    """An image of 100 × 50 px: the first point's edges-on-edges place, the second off, the third
    unknown.
    """
    target = Landmarks(
        (
            np.array([[9.5, 19.5]], np.float32),
            np.zeros((0, 2), np.float32),
            np.zeros((0, 2), np.float32),
        ),
        np.array([SEEN, OFF, BLURRED], np.int8),
    )
    (line,) = point_lines(target, 50, 100, POINTS_ONLY)
    kind, *box = line.split()[:5]
    assert kind == "0" and [float(v) for v in box] == pytest.approx(
        [0.175, 0.4, 0.35, 0.5]
    )  # ± .25, within the image
    points = np.array(line.split()[5:], float).reshape(3, 3)
    np.testing.assert_allclose(points, [[0.1, 0.4, 2], [0, 0, 0], [0.5, 0.5, 1]])


def test_where_nothing_is_seen_the_instance_is_the_image():
    nothing = Landmarks((np.zeros((0, 2), np.float32),) * 3, np.array([OFF, OFF, OFF], np.int8))
    (line,) = point_lines(nothing, 50, 100, POINTS_ONLY)
    assert [float(word) for word in line.split()] == [0, 0.5, 0.5, 1, 1, *[0] * 9]


def test_a_curve_is_unknown_to_the_net_and_absent_in_the_prediction():
    samples = pictures(4)
    assert (
        curves_of(samples, NAMES).tolist() == WITH_CURVE.tolist()
        and count_points(samples, WITH_CURVE) == 7
    )
    (line,) = point_lines(samples[0].target, 72, 96, WITH_CURVE)
    assert line.split()[-3:] == ["0.500000000", "0.500000000", "1.000000000"]
    frame = SimpleNamespace(width=96, height=72)
    prediction = to_landmarks(
        np.full((3, 2), 7, np.float32), np.array([0.9, 0.4, 0.99], np.float32), WITH_CURVE, frame
    )
    assert prediction.state.tolist() == [
        SEEN,
        OFF,
        OFF,
    ] and prediction.scores.tolist() == pytest.approx([0.9, 0.4, 0])
    assert [path.tolist() for path in prediction.paths] == [
        [[7, 7]],
        [[7, 7]],
        [[47.5, 35.5]],
    ]  # a place is always there


@pytest.mark.parametrize("rect", [True, False])
@pytest.mark.parametrize("shape", [(275, 690), (97, 61), (320, 320), (40, 120)])
def test_a_place_comes_back_where_it_was(shape, rect):
    """A net that sees exactly, in the coordinates of ultralytics' head: a white block's middle,
    edges on whole px.
    """
    height, width = shape
    x, y = width // 3, height // 2
    image = np.full(shape, 114, np.uint8)  # as around it
    image[y - 12 : y + 12, x - 12 : x + 12] = 255

    def net(pixels: torch.Tensor) -> tuple[torch.Tensor]:
        mass = pixels[0, 0] - 114 / 255
        row, column = (torch.arange(n) + 0.5 for n in mass.shape)
        middle = [(mass.sum(0) * column).sum() / mass.sum(), (mass.sum(1) * row).sum() / mass.sum()]
        sure = torch.tensor([0, 0, 0, 0, 0.9, *middle, 0.8, 0, 0, 0.1])
        other = torch.tensor([0, 0, 0, 0, 0.2, 5, 5, 1.0, 5, 5, 1.0])
        return (torch.stack([other, sure], 1)[None],)

    fit = Fit(320, rect, "cpu")
    (prediction,) = predict_points(net, [fit_image(image, fit)], fit, np.array([False, False]))
    assert np.abs(prediction.paths[0] - [[x - 0.5, y - 0.5]]).max() < 0.25 * max(
        1, max(shape) / 320
    )
    assert prediction.scores.tolist() == pytest.approx(
        [0.8, 0.1]
    ) and prediction.state.tolist() == [
        SEEN,
        OFF,
    ]


# ---- the loss


@pytest.mark.train
def test_nothing_is_learnt_of_what_is_unknown(tmp_path):
    """Theirs takes a blurred name for absent, and teaches the net so."""
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        from ultralytics.utils.loss import v8PoseLoss
    criterion = object.__new__(ignore_unknown(v8PoseLoss))
    criterion.bce_pose, criterion.keypoint_loss = torch.nn.BCEWithLogitsLoss(), _distance
    predicted = torch.zeros(1, 2, 3, 3, requires_grad=True)  # an image, two anchors, three names
    target = torch.tensor([[[[1.0, 1, 2], [1, 1, 1], [0, 0, 0]]]])  # there, unknown, absent
    masks, index = torch.tensor([[True, False]]), torch.zeros(1, 2, dtype=torch.long)
    box, stride = torch.tensor([[[0.0, 0, 8, 8], [0, 0, 8, 8]]]), torch.ones(2, 1)
    where, there = criterion.calculate_keypoints_loss(masks, index, target, stride, box, predicted)
    (where + there).backward()
    assert there.item() == pytest.approx(
        np.log(2), abs=1e-5
    )  # the mean over the two that are known
    gradient = predicted.grad[0, 0]
    assert gradient[1].tolist() == [0, 0, 0]
    assert (
        gradient[0, 2] < 0 < gradient[2, 2]
        and gradient[0, 0] < 0
        and gradient[2, :2].tolist() == [0, 0]
    )
    assert not predicted.grad[0, 1].any()


def _distance(predicted, target, mask, area):
    return (((predicted[..., :2] - target[..., :2]) ** 2).sum(-1) * mask).mean()


def test_the_loss_is_ours(tmp_path):
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        net = build_net(choose_net("yolov8_pose", "n", NAMES, None))
        net.args, net.kpt_oks_sigmas = (
            SimpleNamespace(box=1, cls=1, dfl=1, pose=1, kobj=1),
            [0.1] * 3,
        )
        criterion = make_criterion(SimpleNamespace(points=Points((0.1,) * 3, ())), net)
    assert type(
        criterion
    ).__name__ == "Loss" and criterion.keypoint_loss.sigmas.tolist() == pytest.approx([0.1] * 3)


# ---- training


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """Sixteen pictures, looked at long enough."""
    folder, logged = tmp_path_factory.mktemp("learnt") / "run", []
    torch.set_num_threads(1)
    recipe = {"imgsz": 96, "rect": True, "epochs": 12, "lr0": 2e-3, "kobj": 12.0}
    model = pose(recipe=recipe)
    log = partial(lambda name, value, step: logged.append(value) if name == "train/loss" else None)
    model.fit(pictures(16) * 6, pictures(16), a_landmark_run(folder, log=log))
    return model, folder, logged


@pytest.mark.train
def test_it_learns_places_and_presence(learnt):
    model, _, losses = learnt
    targets, predictions = pictures(16), list(model.predict(s.image for s in pictures(16)))
    pairs = [(s.target, g, n) for s, g in zip(targets, predictions, strict=True) for n in (0, 1)]
    errors = [np.linalg.norm(t.paths[n] - g.paths[n]) for t, g, n in pairs if t.state[n] == SEEN]
    assert losses[-1] < losses[0] / 2  # five seeds: .11 to .15; frozen: 1.00
    assert np.mean(errors) < 3  # px; five seeds: .34 to .66; frozen: 31
    right = np.mean([g.state[n] == t.state[n] for t, g, n in pairs])
    assert right > 0.94  # five seeds: 1.00; frozen: .53; all that is said to be present: .88


@pytest.mark.train
def test_a_finished_run_knows_its_curves(learnt):
    model, folder, _ = learnt
    fresh = pose(recipe={"imgsz": 96, "rect": True, "epochs": 12, "lr0": 2e-3, "kobj": 12.0})
    fresh.restore(a_landmark_run(folder))
    odd = [
        np.random.default_rng(0).integers(0, 255, size, np.uint8)
        for size in ((97, 131), (64, 64), (40, 200))
    ]
    for image, first, other in zip(odd, model.predict(odd), fresh.predict(odd), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(first.paths, other.paths, strict=True))
        assert np.array_equal(first.scores, other.scores) and first.scores[2] == 0
        assert first.paths[2].tolist() == [[image.shape[1] / 2 - 0.5, image.shape[0] / 2 - 0.5]]
        assert all(
            (path >= -0.5).all() and (path <= np.array(image.shape[::-1]) - 0.5).all()
            for path in first.paths
        )


@pytest.mark.train
def test_that_curves_are_not_predicted_is_said(tmp_path, capsys):
    model = pose(recipe={"epochs": 1})
    model.fit(pictures(4), pictures(2), a_landmark_run(tmp_path))
    (predicted,) = model.predict([pictures(1)[0].image])
    assert predicted.scores[-1] == 0 and predicted.state[-1] == OFF
    assert "1 of 3 names are curves, which it doesn't predict" in capsys.readouterr().err


def test_without_a_seen_point_there_is_nothing_to_learn(tmp_path):
    off = [
        replace(s, target=replace(s.target, state=np.array([OFF, OFF, SEEN], np.int8)))
        for s in pictures(4)
    ]
    with pytest.raises(DataError, match="no point is seen in 4 images"):
        pose().fit(off, off, a_landmark_run(tmp_path))
