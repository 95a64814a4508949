"""YOLOv8: the traps of ultralytics, each with the test that fails without its handling."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.helpers.paths import ROOT
from tests.helpers.watched import Watch, a_run
from usbench.datasets.codecs import image  # before ultralytics, as a run does
from usbench.datasets.phantoms import phantom
from usbench.errors import ConfigError, DataError, RunError, UsbenchError
from usbench.models.yolo import package
from usbench.models.yolo.boxes import Fit, fit_image, predict_boxes, suppress
from usbench.models.yolo.model import Yolo
from usbench.models.yolo.package import build_net, sealed_ultralytics
from usbench.models.yolo.recipe import choose_net, training_arguments
from usbench.models.yolo.trainer import count_workers
from usbench.types import Boxes, Run, Sample

TINY = {
    "epochs": 3,
    "batch": 4,
    "imgsz": 64,
    "optimizer": "AdamW",
    "lr0": 1e-3,
    "warmup_epochs": 0.0,
}
RECIPE = {
    **TINY,
    "augment": {"fliplr": 0.5, "translate": 0.1, "scale": 0.2, "hsv_v": 0.3, "mosaic": 0.5},
}
SHAPES = ((64, 64), (61, 97), (40, 120))


def pictures(count: int, seed: int = 0, classes: int = 2) -> list[Sample]:
    """Noise with a bright (class 0) or dark (class 1) rectangle; every fourth picture has none."""
    rng = np.random.default_rng(seed)
    samples = []
    for n in range(count):
        height, width = SHAPES[n % len(SHAPES)]
        image = rng.integers(90, 130, (height, width), dtype=np.uint8)
        label = n % classes
        target = Boxes.empty()
        if n % 4 != 3:
            x, y = int(rng.integers(0, width - 30)), int(rng.integers(0, height - 20))
            image[y : y + 20, x : x + 30] = 250 if label == 0 else 10
            target = Boxes(np.array([[x, y, x + 30, y + 20]], np.float32), np.array([label]))
        samples.append(Sample(f"{n}", f"g{n}", image, target))
    return samples


def fitted(folder: Path, scores: list[float], recipe=RECIPE) -> tuple[Yolo, Watch]:
    watch = Watch(scores)
    model = Yolo(classes=2, recipe=recipe, size="n")
    model.fit(pictures(9), pictures(4, seed=1), a_run(folder, watch))
    return model, watch


def same(first: list[Boxes], other: list[Boxes]) -> bool:
    return len(first) == len(other) and all(
        np.array_equal(a.xyxy, b.xyxy)
        and np.array_equal(a.labels, b.labels)
        and np.array_equal(a.scores, b.scores)
        for a, b in zip(first, other, strict=True)
    )


def images(samples: list[Sample]) -> Iterator[np.ndarray]:
    return (sample.image for sample in samples)


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> tuple[Yolo, Watch, Path]:
    """One uninterrupted run: 9 pictures of three sizes, so that the last batch is one picture."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    model, watch = fitted(folder, [0.1, 0.2, 0.3])
    return model, watch, folder


# ---- recipes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "auto"}, "optimizer=auto: expected one of SGD, Adam"),
        ({"optimizer": "MuSGD"}, "optimizer=MuSGD: expected one of"),
        ({"imgsz": 100}, "multiple of 32"),
        ({"imgsz": 32}, "imgsz=32: expected a multiple of 32 of 64 or more"),
        ({"batch": 0.5}, "whole number"),
        ({"batch": -1}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"lr0": None}, "lr0=null: expected a number above 0"),
        ({"lr": 1e-3}, "unknown recipe key 'lr'"),
        (
            {"augment": {"mosiac": 1.0}},
            "unknown recipe key 'augment.mosiac' .* did you mean 'augment.mosaic'",
        ),
        ({"scale": 0.5}, "unknown recipe key 'scale'"),
        ({"rect": True, "augment": {"mosaic": 1.0}}, "rect=true: silently drops"),
        ({"micro_batch": 3}, "micro_batch=3: expected a divisor of batch=4"),
        ({"micro_batch": 0}, "micro_batch=0: expected a whole number"),
        ({"micro_batch": 0.5}, "micro_batch=0.5: expected a whole number"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(change, message) -> None:
    with pytest.raises(ConfigError, match=message):
        Yolo(classes=1, recipe={**TINY, **change}, size="n")


def test_size_and_classes_are_checked() -> None:
    with pytest.raises(ConfigError, match="size: expected one of"):
        Yolo(classes=1, recipe=TINY, size="xl")
    with pytest.raises(ConfigError, match="at least one class"):
        Yolo(classes=0, recipe=TINY, size="n")


def test_every_batch_is_a_step_and_nothing_stops_early() -> None:
    arguments = training_arguments(TINY)
    assert (
        arguments["nbs"] == TINY["batch"]
    )  # 64 would make it one step an epoch, and scale the weight decay
    assert arguments["patience"] == TINY["epochs"]
    assert (
        arguments["augmentations"] == []
    )  # None: an installed albumentations would add blur and CLAHE


def test_every_training_argument_of_the_installed_package_is_given(tmp_path) -> None:
    """A new one in an upgrade, or a new default, can't slip in."""
    runs_own = "model data device project name seed amp workers"
    predicting = (
        "augment dnn embed nms retina_masks source stream_buffer vid_stride visualize tracker"
    )
    showing = (
        "line_width save_conf save_crop save_frames save_txt show show_boxes show_conf show_labels"
    )
    exporting = "dynamic end2end format half int8 keras opset optimize simplify workspace"
    other_tasks = "angle dgrad dlam dlog kobj mask_ratio overlap_mask pose rle"
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        from ultralytics.utils import DEFAULT_CFG_DICT
    elsewhere = {
        word
        for message in (runs_own, predicting, showing, exporting, other_tasks)
        for word in message.split()
    }
    assert set(DEFAULT_CFG_DICT) - set(training_arguments(TINY)) - elsewhere == set()


def test_the_recipes_of_the_repository_can_be() -> None:
    config = yaml.safe_load((ROOT / "conf/model/yolov8.yaml").read_text())
    assert set(config["recipes"]) == {"tiny", "quick", "standard", "kumar2025"}
    for recipe in config["recipes"].values():
        size = recipe["size"]
        Yolo(classes=1, recipe={k: v for k, v in recipe.items() if k != "size"}, size=size)
    assert config["recipes"]["kumar2025"]["unstated"]


# ---- boxes


@pytest.mark.parametrize("seed", range(4))
def test_suppression_is_ultralytics_own(seed, tmp_path) -> None:
    torch.manual_seed(seed)
    output = torch.cat(
        [torch.rand(2, 800) * 60 + 20, torch.rand(2, 800) * 30 + 10, torch.rand(3, 800) ** 6]
    )
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        from ultralytics.utils.nms import non_max_suppression
    (theirs,) = non_max_suppression(
        output[None].clone(), 0.001, 0.7, multi_label=True, max_det=300, max_time_img=1e9
    )
    xyxy, scores, labels = suppress(output)
    assert len(xyxy) == len(theirs) == 300
    assert torch.equal(scores, theirs[:, 4]) and torch.equal(labels, theirs[:, 5].long())
    torch.testing.assert_close(xyxy, theirs[:, :4])


def bright_part(pixels: torch.Tensor) -> tuple[torch.Tensor]:
    """A net that sees exactly: centre and size of what is white, in px of its input; one anchor,
    one class.
    """
    rows = []
    for picture in pixels[:, 0]:
        ys, xs = torch.nonzero(picture > 0.75, as_tuple=True)
        x1, y1, x2, y2 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        rows.append(torch.tensor([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0.9])[:, None])
    return (torch.stack(rows),)


@pytest.mark.parametrize("rect", [True, False])
@pytest.mark.parametrize("shape", [(275, 690), (534, 512), (97, 61), (33, 320), (320, 320)])
def test_a_box_comes_back_where_it_was(shape, rect) -> None:
    height, width = shape
    target = [width // 4, height // 3, width // 4 + width // 2, height]
    image = np.zeros(shape, np.uint8)
    image[target[1] : target[3], target[0] : target[2]] = 255
    fit = Fit(320, rect, "cpu")
    (boxes,) = predict_boxes(bright_part, [fit_image(image, fit)], fit)
    np.testing.assert_allclose(boxes.xyxy[0], target, atol=1.2 * max(1.0, max(shape) / 320))
    assert boxes.xyxy[0, 3] <= height  # clipped


def test_rectangles_are_whole_strides() -> None:
    seen = []

    def net(pixels: torch.Tensor) -> tuple[torch.Tensor]:
        seen.append(tuple(pixels.shape))
        return (torch.zeros(len(pixels), 5, 4),)

    for rect in (True, False):
        fit = Fit(320, rect, "cpu")
        (boxes,) = predict_boxes(net, [fit_image(np.zeros((275, 690), np.uint8), fit)], fit)
        assert len(boxes.xyxy) == 0 and boxes.scores is not None
    assert seen == [(1, 3, 128, 320), (1, 3, 320, 320)]


# ---- training


@pytest.mark.train
def test_every_epoch_is_logged(straight) -> None:
    _, watch, _ = straight
    assert watch.logged["val/score"] == {1: 0.1, 2: 0.2, 3: 0.3}
    assert set(watch.logged["train/loss"]) == set(watch.logged["lr"]) == {1, 2, 3}


@pytest.mark.train
def test_the_loss_falls(tmp_path) -> None:
    """From its peak: YOLO's loss begins low, while few anchors are assigned to a box."""
    watch = Watch([0.0] * 16)
    model = Yolo(classes=1, recipe={**TINY, "epochs": 16, "lr0": 5e-3}, size="n")
    model.fit(pictures(20, classes=1), pictures(1), a_run(tmp_path, watch))
    losses = list(watch.logged["train/loss"].values())
    assert losses[-1] < 0.65 * max(losses)  # five seeds: .41 to .51; frozen: .85


@pytest.mark.slow
def test_the_quick_recipe_finds_the_phantoms_hematomas(tmp_path) -> None:
    """Recall at IoU .5 of the most certain box of an image, on 24 test images: far above .8 (mAP50
    was 1.00).
    """
    spec = phantom.PhantomSpec("spinal", (275, 690), {"train": 64, "val": 16, "test": 24}, seed=0)
    drawn = list(phantom.draw_samples(spec, "detect"))
    train, val, test = (
        [sample for sample in drawn if sample.split == split] for split in ("train", "val", "test")
    )
    recipe = yaml.safe_load((ROOT / "conf/model/yolov8.yaml").read_text())["recipes"]["quick"]
    model = Yolo(classes=1, recipe=recipe, size=recipe["size"])
    run = Run(
        tmp_path,
        device="cpu",
        seed=0,
        precision="fp32",
        threads=torch.get_num_threads(),
        score=hits,
    )
    model.fit(train, val, run)
    assert hits(zip([s.target for s in test], model.predict(images(test)), strict=True)) >= 0.9


def hits(pairs) -> float:
    """The share of images with one object whose most certain box overlaps it by half."""
    overlaps = []
    for target, predicted in pairs:
        if len(target.xyxy) and len(predicted.xyxy):
            (x1, y1, x2, y2), (u1, v1, u2, v2) = target.xyxy[0], predicted.xyxy[0]
            inter = max(0.0, min(x2, u2) - max(x1, u1)) * max(0.0, min(y2, v2) - max(y1, v1))
            overlaps.append(inter / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - inter) >= 0.5)
        elif len(target.xyxy):
            overlaps.append(False)
    return float(np.mean(overlaps))


@pytest.mark.train
def test_only_the_best_weights_stay(straight) -> None:
    model, _, folder = straight
    assert [path.name for path in folder.iterdir()] == ["best.pt"]
    assert model.parameters == 3_011_238 and model.precision == "fp32"


@pytest.mark.train
def test_a_finished_run_only_loads(straight) -> None:
    model, _, folder = straight
    again, watch = fitted(folder, [])
    assert watch.predicted == [] and watch.logged == {}
    assert same(
        list(again.predict(images(pictures(4, seed=1)))),
        list(model.predict(images(pictures(4, seed=1)))),
    )


@pytest.mark.train
def test_prediction_is_what_was_validated_and_leaves_neighbours_alone(straight) -> None:
    model, watch, _ = straight
    held_out = pictures(4, seed=1)
    together = list(model.predict(images(held_out)))
    for boxes, validated in zip(together, watch.predicted[-1], strict=True):
        np.testing.assert_allclose(boxes.scores, validated.scores, atol=1e-5)  # averaged weights
    assert same(together, [next(model.predict([sample.image])) for sample in held_out])
    for sample, boxes in zip(held_out, together, strict=True):
        height, width = sample.image.shape
        assert (
            0 < len(boxes.xyxy) <= 300 and boxes.scores is not None and boxes.scores.min() > 0.001
        )
        assert boxes.xyxy.min() >= 0 and (boxes.xyxy <= [width, height, width, height]).all()
        assert set(boxes.labels) <= {0, 1}


@pytest.mark.train
def test_ultralytics_itself_reads_the_best_weights(straight, tmp_path) -> None:
    model, _, folder = straight
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        from ultralytics.nn.tasks import load_checkpoint

        net, _ = load_checkpoint(str(folder / "best.pt"))
    fit = Fit(64, False, "cpu")
    net = net.to(memory_format=torch.channels_last)
    boxes = list(predict_boxes(net, [fit_image(s.image, fit) for s in pictures(2)], fit))
    assert same(boxes, list(model.predict(images(pictures(2)))))


@pytest.mark.train
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    straight, tmp_path, capsys, checkpoint_each_epoch
) -> None:
    _, straight_watch, _ = straight
    with pytest.raises(StopIteration):  # in the third validation
        fitted(tmp_path, [0.1, 0.2])
    newest = tmp_path / "checkpoint-00002.pt"
    newest.write_bytes(newest.read_bytes()[:5000])
    model, watch = fitted(tmp_path, [0.9, 0.3])
    assert "checkpoint-00002.pt: damaged" in capsys.readouterr().err
    assert set(watch.logged["train/loss"]) == {2, 3}
    second_epoch = straight_watch.predicted[1]  # the best here, to the last bits
    for boxes, validated in zip(
        model.predict(images(pictures(4, seed=1))), second_epoch, strict=True
    ):
        np.testing.assert_allclose(boxes.scores, validated.scores, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "threads", "expected"), [("cpu", 16, 0), ("cuda:0", 4, 4), ("cuda:1", 16, 8)]
)
def test_only_a_gpu_has_worker_processes(tmp_path, device, threads, expected) -> None:
    run = replace(a_run(tmp_path, Watch([])), device=device, threads=threads)
    assert count_workers(run) == expected


@pytest.mark.train
@pytest.mark.process
def test_a_run_with_workers_resumes_as_if_it_had_not_been_interrupted(
    tmp_path, monkeypatch, checkpoint_each_epoch
) -> None:
    """On a CPU, where only this test has workers."""
    monkeypatch.setattr(package, "count_workers", lambda run: 2)
    whole, whole_watch = fitted(tmp_path / "whole", [0.1, 0.2, 0.3])
    with pytest.raises(StopIteration):  # in the third validation
        fitted(tmp_path / "parts", [0.1, 0.2])
    resumed, watch = fitted(tmp_path / "parts", [0.3])
    assert whole_watch.logged["train/loss"][3] == watch.logged["train/loss"][3]
    pair = [list(model.predict(images(pictures(4, seed=1)))) for model in (whole, resumed)]
    assert same(*pair)


def failing(tmp_path: Path, train: list[Sample] | None = None, **changes) -> str:
    """The one line of a fit that can't go on."""
    model = Yolo(
        classes=2,
        recipe={**TINY, **changes.pop("recipe", {})},
        size=changes.pop("size", "n"),
        **changes,
    )
    with pytest.raises(UsbenchError) as caught:
        model.fit(train or pictures(8), pictures(2), a_run(tmp_path / "run", Watch([0.0] * 4)))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run/best.pt").exists()
    return f"{caught.type.__name__}: {caught.value}"


@pytest.mark.train
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path) -> None:
    """Theirs goes back to last.pt and tries again, three times."""
    message = failing(tmp_path, recipe={"box": 1e39})
    assert message.startswith("RunError") and "epoch 1: the loss is" in message


def test_memory_that_runs_out_never_halves_the_batch(tmp_path, monkeypatch) -> None:
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        from ultralytics.nn.tasks import DetectionModel
    seen = []

    def loss(net, batch, preds=None):
        seen.append(len(batch["img"]))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(DetectionModel, "loss", loss)
    message = failing(tmp_path)
    assert message.startswith("RunError") and "out of memory with batch 4 on cpu" in message
    assert "micro_batch" in message and seen == [4]
    assert "batch 4 in parts of 2 on cpu" in failing(tmp_path, recipe={"micro_batch": 2})
    assert seen == [4, 2]


@pytest.mark.train
def test_rectangles_of_several_shapes_are_still_shuffled(tmp_path, capsys) -> None:
    fitted(tmp_path, [0.0], recipe={**TINY, "epochs": 1, "imgsz": 96, "rect": True})
    assert "shuffle" not in capsys.readouterr().err  # they warn


@pytest.mark.train
def test_threads_and_environment_are_as_before(tmp_path) -> None:
    """Their import sets OMP_NUM_THREADS=1 for children, their CPU trainer takes all but one."""
    watch, before = Watch([0.5]), dict(os.environ)
    model = Yolo(classes=2, recipe={**TINY, "epochs": 1}, size="n")
    model.fit(pictures(4), pictures(1), a_run(tmp_path, watch, threads=2))
    assert watch.threads == {2} and torch.get_num_threads() == 2
    assert dict(os.environ) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_bf16_on_cuda(tmp_path) -> None:
    watch = Watch([0.1, 0.2, 0.3])
    model = Yolo(classes=2, recipe=RECIPE, size="n")
    run = replace(a_run(tmp_path, watch), device="cuda:0", precision="bf16")
    model.fit(pictures(9), pictures(4, seed=1), run)
    assert model.precision == (
        "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    )
    assert len(list(model.predict(images(pictures(4, seed=1))))) == 4


def test_a_value_that_ultralytics_refuses_is_one_line(tmp_path) -> None:
    assert failing(tmp_path, recipe={"lr0": 5.0}).startswith(
        "ConfigError: yolov8: 'lr0=5.0' is an invalid value"
    )


def test_a_training_set_without_a_box_is_an_error(tmp_path) -> None:
    empty = [Sample("a", "a", np.zeros((64, 64), np.uint8), Boxes.empty())]
    assert failing(tmp_path, train=empty).startswith("DataError: yolov8: nothing to learn from")


@pytest.mark.parametrize(("box", "label"), [((40, 10, 90, 30), 0), ((5, 5, 20, 20), 2)])
def test_what_ultralytics_would_drop_in_silence_is_an_error(box, label, tmp_path) -> None:
    bad = Sample(
        "bad",
        "bad",
        np.zeros((64, 64), np.uint8),
        Boxes(np.array([box], np.float32), np.array([label])),
    )
    message = failing(tmp_path, train=[*pictures(4), bad])
    assert (
        message.startswith("DataError")
        and "5 images with 4 boxes, ultralytics accepts 4 with 3" in message
    )


# ---- weights


def test_the_published_net_has_the_published_size(tmp_path) -> None:
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        net = build_net(choose_net("yolov8", "m", 1, None))
    assert sum(p.numel() for p in net.parameters()) == 25_856_899  # Kumar 2025, table


@pytest.mark.train
def test_weights_start_a_net_of_their_size_only(straight, tmp_path) -> None:
    _, _, folder = straight
    best = str(folder / "best.pt")
    model = Yolo(classes=3, recipe={**TINY, "epochs": 1, "lr0": 1e-12}, size="n", weights=best)
    model.fit(pictures(8), pictures(2), a_run(tmp_path / "run", Watch([0.5])))
    source, ours = (
        torch.load(p, weights_only=False)["model"].state_dict()
        for p in (best, tmp_path / "run/best.pt")
    )
    weight = "model.4.cv1.conv.weight"
    torch.testing.assert_close(ours[weight], source[weight])
    (tmp_path / "run/best.pt").unlink()
    message = failing(tmp_path, size="s", weights=best)
    assert message.startswith("ConfigError") and "expected weights of yolov8s" in message


def test_weights_that_cannot_be_read(tmp_path) -> None:
    assert "no such weights file" in failing(tmp_path, weights=str(tmp_path / "none.pt"))
    for noise in (b"noise" * 100, b"t" * 100, b""):
        (tmp_path / "noise.pt").write_bytes(noise)
        assert "not a readable ultralytics checkpoint" in failing(
            tmp_path, weights=str(tmp_path / "noise.pt")
        )


def test_coco_weights_without_a_network(tmp_path, monkeypatch) -> None:
    def no_network(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    message = failing(tmp_path, weights="coco")
    assert (
        message.startswith("RunError: yolov8n.pt: the COCO weights can't be fetched")
        and "weights=null" in message
    )


# ---- sealed

SEALED = """
import os, socket, sys
from pathlib import Path
calls = []
def refuse(*arguments, **_):
    calls.append(arguments[:2])
    raise OSError("sealed")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = refuse
import mlflow
mlflow.set_tracking_uri("sqlite:///" + os.environ["STORE"])
mlflow.set_experiment("ours")
mlflow.start_run()
mlflow.log_param("model", "ours")
from tests.models.yolo.test_yolo import TINY, Watch, Yolo, a_run, pictures
del sys.modules["pytest"]  # where it sees that, ultralytics behaves
model = Yolo(classes=2, recipe={**TINY, "epochs": 1}, size="n")
model.fit(pictures(8), pictures(2), a_run(Path("run"), Watch([0.5])))
import ultralytics.utils
assert not ultralytics.utils.TESTS_RUNNING
assert not calls, calls
store = mlflow.MlflowClient()
(run,) = store.search_runs([e.experiment_id for e in store.search_experiments()])
assert run.info.run_id == mlflow.active_run().info.run_id, run
assert run.data.params == {"model": "ours"}, run
assert {e.name for e in store.search_experiments()} <= {"Default", "ours"}
"""


@pytest.mark.process
def test_a_sealed_process_trains_and_leaves_nothing_but_its_run(tmp_path) -> None:
    """No network call, nothing in home, working and temporary folder; MLflow's active run is left
    alone.
    """
    home, work, scratch = (tmp_path / name for name in ("home", "work", "scratch"))
    for folder in (home, work, scratch):
        folder.mkdir()
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH", "LANG")}
    ours = {
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "STORE": str(tmp_path / "store.db"),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", SEALED],
        env={**keep, **ours},
        cwd=work,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    left = [
        str(p.relative_to(tmp_path))
        for f in (home, work, scratch)
        for p in f.rglob("*")
        if p.is_file()
    ]
    assert left == ["work/run/best.pt"]
    assert "ultralytics" not in (done.stdout + done.stderr).lower()  # silent


def test_their_warnings_are_shown_and_their_chatter_is_not(tmp_path, capsys) -> None:
    with sealed_ultralytics(a_run(tmp_path, Watch([]))):
        from ultralytics.utils import LOGGER, SETTINGS

        LOGGER.info("Fast image access")
        LOGGER.warning("labels are\nmissing")
        assert not any(
            SETTINGS[name]
            for name in ("sync", "mlflow", "wandb", "tensorboard", "clearml", "comet")
        )
    output = capsys.readouterr()
    assert output.out == "" and output.err == "ultralytics: labels are missing\n"


@pytest.mark.process
def test_importing_the_module_does_not_import_ultralytics() -> None:
    code = "import sys, usbench.models.yolo.model; sys.exit('ultralytics' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )


@pytest.mark.train
def test_a_score_that_is_not_finite_is_an_error(tmp_path) -> None:
    model = Yolo(classes=2, recipe=TINY, size="n")
    with pytest.raises(RunError, match="epoch 1: the validation score is nan"):
        model.fit(pictures(4), pictures(2), a_run(tmp_path, Watch([float("nan")])))


def test_predict_before_fit() -> None:
    with pytest.raises(RunError, match="fit"):
        Yolo(classes=1, recipe=TINY, size="n").predict([])


def test_a_damaged_picture_is_our_error_once_ultralytics_is_imported(tmp_path) -> None:
    """It puts an Image.open of its own in place, which wants to install a plug-in for what it can't
    read.
    """
    import ultralytics  # noqa: F401

    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"empty\.png: expected an 8-bit grey or colour picture"):
        image.read_grey(tmp_path / "empty.png")
    with pytest.raises(DataError, match=r"empty\.png: expected a picture, got something else"):
        image.read_size(tmp_path / "empty.png")
