"""The torch loop, augmentation, decoding and the segmentation nets, on tiny nets and little
pictures.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from usbench.errors import ConfigError, RunError
from usbench.metrics.segment_scorer import selection
from usbench.models import arrays, augment, checkpoints, loop, optimise
from usbench.models.segmenter import exclusive_loss, overlapping_loss
from usbench.models.smp import SmpSegmenter
from usbench.types import Masks, Run, Sample

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = {
    "size": [32, 64],
    "epochs": 3,
    "batch": 4,
    "lr": 2e-3,
    "weight_decay": 1e-4,
    "schedule": "onecycle",
    "augment": {"hflip": 0.5, "rotate": 10, "noise": 0.02},
}
SMALL = {"decoder_channels": [16, 16, 8, 8, 8]}


def sample(n: int, size: tuple[int, int] = (40, 72), classes: int = 2) -> Sample:
    """A dark frame with a bright block of class 0 on the left and a grey one of class 1 on the
    right.
    """
    rng = np.random.default_rng(n)
    image = rng.integers(0, 30, size).astype(np.uint8)
    planes = np.zeros((classes, *size), bool)
    top = 4 + n % 8
    planes[0, top : top + 20, 6:30] = True
    if n % 3:
        planes[1, top : top + 16, 40:66] = True
    image[planes[0]] += 200
    image[planes[1]] += 100
    return Sample(f"{n:03d}", f"g{n}", image, Masks(planes))


def samples(n: int) -> list[Sample]:
    return [sample(k) for k in range(n)]


def run(folder: Path, **changes: object) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    return replace(Run(folder, "cpu", 0, "fp32", 1, selection), **changes)  # type: ignore[arg-type]


def net(
    recipe: dict | None = None, architecture: str = "unet", exclusive: bool = True, **more: object
) -> SmpSegmenter:
    options = SMALL if architecture == "unet" else {"decoder_channels": 16}
    return SmpSegmenter(
        architecture,
        "resnet18",
        more.pop("weights", None),
        2,
        exclusive,
        recipe or RECIPE,
        True,
        options,
    )  # type: ignore[arg-type]


# ---- geometry and decoding


def test_an_image_of_the_net_s_size_is_untouched():
    image = np.arange(32 * 64, dtype=np.uint32).reshape(32, 64).astype(np.uint8)
    assert (arrays.image_to_net(image, (32, 64)) == image).all()


def test_halving_averages_and_planes_need_half_of_the_pixel():
    image = np.array([[0, 0, 100, 100], [0, 0, 100, 100]], np.uint8).repeat(2, 0)
    small = arrays.image_to_net(image, (2, 2))
    assert (
        small[0, 0] < 20 and small[0, 1] > 80
    )  # antialiased: the triangle filter reaches into the neighbour
    plane = np.zeros((1, 4, 4), bool)
    plane[0, 2:, 2:] = True
    assert arrays.planes_to_net(plane, (2, 2)).tolist() == [[[0, 0], [0, 1]]]


def test_logits_go_back_to_the_same_place():
    """A step between columns 3 and 4 of 8 lies between columns 11 and 12 of 24: no half-pixel
    shift.
    """
    logits = torch.tensor([-1.0] * 4 + [1.0] * 4).expand(1, 8, 8)
    native = arrays.logits_to_native(logits, (24, 24))
    assert (native[0, :, :12] < 0).all() and (native[0, :, 12:] > 0).all()


def test_index_of_planes():
    planes = np.array([[[1, 0], [0, 0]], [[0, 1], [0, 0]]], np.uint8)
    assert arrays.index_of(planes).tolist() == [[1, 2], [0, 0]]


def test_decoding_is_cached_whole_and_read_again_without_the_samples(tmp_path):
    first = arrays.decode(arrays.INDEX, samples(3), (32, 64), tmp_path)
    assert not list(tmp_path.glob("*.npy.*"))  # nothing half-written is left

    class Unreadable(list):
        ids = ("000", "001", "002")

        def __len__(self):
            return 3

    again = arrays.decode(arrays.INDEX, Unreadable(), (32, 64), tmp_path)
    assert (again.images == first.images).all() and (again.targets == first.targets).all()
    assert first.targets.shape == (3, 1, 32, 64) and set(np.unique(first.targets)) == {0, 1, 2}


# ---- augmentation


def test_image_and_target_move_together():
    image = np.zeros((1, 64, 96), np.uint8)
    image[0, 20:30, 40:70] = 255
    target = (image[:, None] > 0).astype(np.uint8)
    spec = augment.Augment(hflip=0.5, vflip=0.5, rotate=30, scale=0.3, shift=0.1)
    for seed in range(20):
        rng = torch.Generator().manual_seed(seed)
        moved, marked = augment.augment(
            torch.from_numpy(image), torch.from_numpy(target), spec, rng
        )
        bright = moved[0, 0] > 0.5
        assert (bright != (marked[0, 0] > 0)).float().mean() < 0.01


def test_rotation_turns_pixels_not_the_unit_square():
    """A 20-pixel square turned by 45° keeps its area on a 2:1 image; turning the unit square would
    shear it.
    """
    image = np.zeros((1, 64, 128), np.uint8)
    image[0, 22:42, 54:74] = 255
    matrix = augment.draw_affine(
        1, (64, 128), augment.Augment(hflip=0), torch.Generator().manual_seed(0)
    )
    assert torch.allclose(matrix, torch.eye(2, 3)[None], atol=1e-6)
    spec = augment.Augment(hflip=0, rotate=45)
    for seed in range(5):
        rng = torch.Generator().manual_seed(seed)
        _, marked = augment.augment(
            torch.from_numpy(image),
            torch.from_numpy((image[:, None] > 0).astype(np.uint8)),
            spec,
            rng,
        )
        rows, columns = np.nonzero(marked[0, 0].numpy())
        assert abs(len(rows) - 400) < 40
        assert (
            abs(np.var(rows) - np.var(columns)) < 6
        )  # a square has the same spread in all directions


def test_no_augmentation_changes_nothing():
    image = torch.randint(0, 256, (2, 16, 16), dtype=torch.uint8)
    target = torch.randint(0, 3, (2, 1, 16, 16), dtype=torch.uint8)
    moved, marked = augment.augment(
        image, target, augment.Augment(hflip=0), torch.Generator().manual_seed(0)
    )
    assert (
        torch.allclose(moved[:, 0] * 255, image.float().clamp(min=0.0255), atol=1e-3)
        and (marked == target).all()
    )


def test_the_same_seed_draws_the_same_augmentation():
    image, target = (
        torch.randint(0, 256, (2, 16, 16), dtype=torch.uint8),
        torch.zeros(2, 1, 16, 16, dtype=torch.uint8),
    )
    spec = augment.Augment(rotate=20, gamma=0.3, noise=0.1, contrast=0.2, brightness=0.1)
    first, two, other = (
        augment.augment(image, target, spec, torch.Generator().manual_seed(seed))[0]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, two) and not torch.equal(first, other)


# ---- losses


def test_a_false_positive_on_an_empty_target_costs_something():
    """smp's DiceLoss gives exactly 0 there: a net that fires on empty frames would not learn."""
    import segmentation_models_pytorch as smp

    fires, target = torch.full((2, 1, 8, 8), 10.0), torch.zeros(2, 1, 8, 8)
    assert smp.losses.DiceLoss("binary")(fires, target).item() == 0.0
    from usbench.models.segmenter import soft_dice

    assert soft_dice(fires.sigmoid(), target).item() > 0.9


@pytest.mark.parametrize(
    ("loss", "channels", "right"), [(exclusive_loss, 3, True), (overlapping_loss, 2, False)]
)
def test_a_right_answer_costs_little_and_a_wrong_one_much(loss, channels, right):
    index = torch.zeros(1, 8, 8, dtype=torch.long)
    index[0, :4, :4], index[0, 4:, 4:] = 1, 2
    planes = torch.nn.functional.one_hot(index, 3).movedim(-1, 1)
    logits = (planes.float() * 2 - 1) * 20 if right else (planes[:, 1:].float() * 2 - 1) * 20
    target = index[:, None] if right else planes[:, 1:]
    assert logits.shape[1] == channels
    assert loss(logits, target).item() < 0.02 < 1 < loss(-logits, target).item()


# ---- the loop


@pytest.mark.train
def test_training_learns_and_keeps_the_best_epoch(tmp_path):
    model, curve = net({**RECIPE, "size": [64, 96], "epochs": 25, "batch": 2, "lr": 3e-3}), []
    model.fit(samples(8), samples(4), run(tmp_path, log=lambda *figure: curve.append(figure)))
    scores = [value for name, value, _ in curve if name == "val/score"]
    assert [step for name, _, step in curve if name == "val/score"] == list(range(1, 26))
    assert max(scores) > 0.8  # five seeds: .94 to 1.00; frozen: .15
    predictions = list(model.predict(s.image for s in samples(4)))
    assert selection((s.target, g) for s, g in zip(samples(4), predictions, strict=True)) > 0.8
    assert len(list(tmp_path.glob("checkpoint-*.pt"))) == 2 and (tmp_path / "best.pt").exists()


@pytest.mark.train
@pytest.mark.parametrize("architecture", ["unet", "deeplabv3"])
def test_one_training_image_is_enough(tmp_path, architecture):
    """DeepLabv3's pooling branch raises on a batch of one in training."""
    model = net({**RECIPE, "epochs": 1, "size": [64, 64]}, architecture)
    model.fit(samples(1), samples(1), run(tmp_path))
    assert len(list(model.predict([sample(0).image]))) == 1


@pytest.mark.train
def test_overlapping_classes_may_share_pixels(tmp_path):
    model = net({**RECIPE, "epochs": 1}, exclusive=False)
    both = []
    for picture in samples(6):
        planes = np.stack([picture.target.planes.any(0)] * 2)  # type: ignore[union-attr]
        both.append(replace(picture, target=Masks(planes)))
    model.fit(both, both[:2], run(tmp_path))
    assert model.net.segmentation_head[0].out_channels == 2
    model.net.segmentation_head[0].bias.data.fill_(100.0)
    assert next(iter(model.predict([both[0].image]))).planes.all()


def broken_after(epochs: int):
    """A log that stops the run like a kill: after this many epochs."""

    def log(name: str, value: float, step: int) -> None:
        if name == "val/score" and step > epochs:
            raise KeyboardInterrupt

    return log


@pytest.mark.train
def test_a_finished_run_trains_no_more(tmp_path):
    net().fit(samples(6), samples(2), run(tmp_path))
    net().fit([sample(0)] * 6, samples(2), run(tmp_path, log=broken_after(0)))


DAMAGES = {
    "cut": None,
    "garbage": b"\x00" * 5000,
    "no mark": b"t" * 5000,
    "no text": b"X\x02\x00\x00\x00\xff\xff",
    "empty": b"",
}


@pytest.mark.train
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    tmp_path, damage, capsys, checkpoint_each_epoch
):
    with pytest.raises(KeyboardInterrupt):
        net().fit(samples(6), samples(2), run(tmp_path, log=broken_after(2)))
    last = tmp_path / "checkpoint-00002.pt"
    whole = last.read_bytes()
    content = DAMAGES[damage]
    last.write_bytes(whole[: len(whole) // 2] if content is None else content)
    steps: list[int] = []
    net().fit(
        samples(6), samples(2), run(tmp_path, log=lambda name, value, step: steps.append(step))
    )
    assert set(steps) == {2, 3}
    assert "checkpoint-00002.pt" in capsys.readouterr().err


@pytest.mark.train
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path):
    with pytest.raises(RunError, match=r"epoch \d: the training loss is (nan|inf)"):
        net({**RECIPE, "lr": 1e30, "schedule": "cosine"}).fit(samples(6), samples(2), run(tmp_path))


def test_batches_are_whole_and_shuffled():
    rng = torch.Generator().manual_seed(0)
    taken = list(loop.batches(10, 4, rng))
    assert [len(batch) for batch in taken] == [4, 4] and len(set(torch.cat(taken).tolist())) == 8
    assert [batch.tolist() for batch in loop.batches(1, 2, rng)] == [[0, 0]]
    assert len(next(loop.batches(3, 4, rng))) == 4


def test_the_learning_rate_ends_near_zero():
    for name in ("onecycle", "cosine"):
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        schedule = optimise.build_schedule(optimiser, {"schedule": name, "lr": 1.0}, 4, 5)
        rates = []
        for _ in range(20):
            optimiser.step()
            schedule.step()
            rates.append(schedule.get_last_lr()[0])
        assert max(rates) > 0.9 and rates[-1] < 0.02
    with pytest.raises(ConfigError, match="onecycle, cosine"):
        optimise.build_schedule(optimiser, {"schedule": "sawtooth", "lr": 1.0}, 4, 5)


@pytest.mark.train
def test_bf16_trains_too(tmp_path):
    model = net({**RECIPE, "epochs": 1})
    model.fit(samples(6), samples(2), run(tmp_path, precision="bf16"))
    assert next(model.net.parameters()).dtype == torch.float32


# ---- weights


@pytest.mark.train
def test_weights_from_a_file(tmp_path):
    first = net({**RECIPE, "epochs": 1})
    first.fit(samples(6), samples(2), run(tmp_path / "a"))
    again = net(weights=str(tmp_path / "a" / "best.pt")).build()
    for a, b in zip(first.net.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"not weights", "state dict"), ("other", "state dict of this net")],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "w.pt"
    if content == "other":
        torch.save({"layer": torch.zeros(3)}, path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=message) as wrong:
        net(weights=str(path)).build()
    assert "\n" not in str(wrong.value) and "w.pt" in str(wrong.value)


@pytest.mark.process
def test_imagenet_weights_that_cannot_be_fetched_are_one_clear_sentence(tmp_path):
    """In a process of its own: the hub's client reads its switches when it is imported."""
    code = (
        "from usbench.models.smp import SmpSegmenter\n"
        "from usbench.errors import RunError\n"
        f"try: SmpSegmenter('unet', 'resnet18', 'imagenet', 2, True, {RECIPE}).build()\n"
        "except RunError as error: print('REFUSED', error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert "REFUSED weights=imagenet for resnet18 could not be fetched" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("size", "encoder"), [([33, 64], "resnet18"), ([32, 64], "no-such-encoder")]
)
def test_what_smp_cannot_build_is_a_configuration_error(size, encoder):
    with pytest.raises(ConfigError):
        SmpSegmenter("unet", encoder, None, 2, True, {**RECIPE, "size": size}).build()


@pytest.mark.process
def test_a_checkpoint_is_whole_or_not_there(tmp_path):
    """Killed while it writes: what is there can be read."""
    code = (
        "import sys, torch; from pathlib import Path; from usbench.models import checkpoints\n"
        "print('ready', flush=True)\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    content = {'n': torch.full((400, 1000), n)}\n"
        "    checkpoints.save_file(Path(sys.argv[1]) / 'best.pt', content)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline()
    while not (tmp_path / "best.pt").exists():
        assert child.poll() is None
    for _ in range(20):
        assert checkpoints.load_file(tmp_path / "best.pt")["n"].unique().numel() == 1
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert checkpoints.load_file(tmp_path / "best.pt")["n"].unique().numel() == 1
