"""What training and prediction on a GPU must have in common with a CPU, and with themselves.

Each check takes any device; on a CPU it shows that the check itself works. bench_gpu.py prints what
they find, tests/models/test_cuda.py requires it. The models are those of conf/model by their `tiny`
recipe, on phantoms, in fp32 without TF32.
"""

from __future__ import annotations

import gc
import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scripts.measure_learning import Setting, prepare
from usbench.errors import in_one_line
from usbench.io.config import build, compose_alone
from usbench.models import checkpoints, loop
from usbench.models.loop_model import LoopModel
from usbench.models.segmenter import Segmenter, exclusive_loss
from usbench.models.yolo.model import load_best
from usbench.types import Boxes, Landmarks, Masks, Model, Run, Target, Task

TASKS: Mapping[str, Task] = {
    "unet": "segment",
    "deeplabv3": "segment",
    "unet_kumar2025": "segment",
    "fasterrcnn": "detect",
    "ssd300": "detect",
    "yolov8": "detect",
    "heatmap": "landmark",
}
WITHOUT_WAITS = ("unet", "unet_kumar2025", "heatmap")
# Others have waits: torchvision selects boxes, which waits for their number.
# Figure → (largest difference that counts as rounding, quantile that it holds for). Two boxes that
# score alike may change places, so a few of them may differ more.
ROUNDING: Mapping[str, tuple[float, float]] = {
    "share of pixels": (1e-3, 1.0),
    "probability": (2e-3, 1.0),
    "box, px": (0.05, 0.95),
    "place, px": (0.1, 0.95),
    "score": (2e-3, 0.95),
}
BEST_BOXES = 10  # of an image, that are compared
OTHER_CLASS = 1e3  # px, added to the distance of two boxes of different classes
OTHER_SCORE = 10  # px, times the difference of two boxes' scores, likewise
GRADIENTS = 1e-4  # relative difference of summed gradients that counts as rounding
REPEATED = 10  # a resumed run may differ so many times as much as a repeated one …
WEIGHTS = 1e-4  # … or by this share of the weights' norm
INTERRUPTED, EPOCHS = 3, 4  # the epoch in which a run is interrupted, and how many it has
MEMORY = 2.2  # sizes of the weights that may stay after training: weights and gradients
MEMORY_MIB = 8.0  # likewise, beside them
PARTS, BATCH, SIDES = 4, 8, (64, 96)
MIB = 2**20
# Every kind of change that a recipe's `augment` can ask for.
RANGES = {
    "hflip": 0.5,
    "vflip": 0.5,
    "rotate": 10,
    "scale": 0.1,
    "shift": 0.05,
    "shear": 5,
    "gamma": 0.2,
    "brightness": 0.1,
    "contrast": 0.1,
    "noise": 0.05,
}
Figures = dict[str, float]
Log = Callable[[str, float, int], None]


@dataclass(frozen=True)
class Check:
    """What one check found."""

    name: str
    found: Figures
    limits: Mapping[str, float]  # what some or all of the figures may be at most
    notes: Sequence[str] = ()
    error: str = ""  # why it found nothing

    def problems(self) -> list[str]:
        """One line for each figure that isn't as it should be."""
        above = [name for name, limit in self.limits.items() if not self.found[name] <= limit]
        lines = [f"expected {n} ≤ {self.limits[n]:.3g}, got {self.found[n]:.3g}" for n in above]
        return [f"{self.name}: {line}" for line in [*lines, *filter(None, [self.error])]]


@dataclass(frozen=True)
class Extent:
    """How much is checked."""

    compared: Sequence[str]  # models whose predictions are
    resumed: Sequence[str]  # models that are interrupted
    watched: Sequence[str]  # models whose waits are counted
    measured: Sequence[str]  # models whose memory is
    repeats: int  # how often the eight phantoms come in an epoch before predictions are compared
    recipe: str  # of the trainings whose memory is measured


WHOLE = Extent(
    compared=("unet", "deeplabv3", "fasterrcnn", "ssd300", "yolov8", "heatmap"),
    resumed=("unet", "fasterrcnn", "yolov8", "heatmap"),
    watched=("unet", "unet_kumar2025", "heatmap", "fasterrcnn", "ssd300"),
    measured=("unet", "yolov8"),
    repeats=18,
    recipe="quick",
)
SMALL = Extent(
    compared=("unet", "yolov8", "heatmap"),
    resumed=("unet", "yolov8"),
    watched=("unet", "unet_kumar2025", "heatmap"),
    measured=("unet",),
    repeats=1,
    recipe="tiny",
)


def run_checks(device: str, folder: Path, extent: Extent = WHOLE) -> Iterator[Check]:
    """Do all checks, one after the other; one that can't be done is a finding, too."""
    checks: dict[str, Callable[[], Check]] = {}
    for name in extent.compared:
        compare = partial(check_predictions, name, device, folder, extent.repeats)
        checks[f"{name}: predictions"] = compare
    for name in extent.resumed:
        checks[f"{name}: resuming"] = partial(check_resuming, name, device, folder)
    checks["micro-batches"] = partial(check_micro_batches, device, folder)
    for name in extent.measured:
        checks[f"{name}: memory"] = partial(check_memory, name, device, folder, extent.recipe)
    for name in extent.watched:
        checks[f"{name}: waits"] = partial(check_waits, name, device, folder)
    for title, check in checks.items():
        try:
            yield check()
        except Exception as error:  # noqa: BLE001  (the other checks still tell something)
            yield Check(title, {}, {}, error=describe(error))


def describe(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {in_one_line(error)[:300]}"


# ---- trainings


def load_setting(name: str, recipe: str = "tiny", **changes: object) -> Setting:
    """A model of conf/model by a recipe with changes, and eight phantoms of 72×96 px."""
    setting = prepare(name, TASKS[name], lambda *words: compose_alone(words), recipe)
    return replace(setting, recipe={**setting.recipe, **changes})


def ignore(name: str, value: float, step: int) -> None:
    """Log nothing."""


def run_on(device: str, folder: Path, log: Log = ignore) -> Run:
    """A run in fp32 whose best epoch is always its last: no validation, and no tie decides."""
    folder.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    return Run(folder, device, 0, "fp32", threads, lambda pairs: monotonic(), log)


def train(setting: Setting, run: Run, repeats: int = 1) -> Model:
    """Train a model on its phantoms, each `repeats` times an epoch."""
    model = make_model(setting)
    model.fit(setting.samples * repeats, setting.samples, run)
    return model


def make_model(setting: Setting) -> Model:
    """A model before any training."""
    model: Model = build(
        setting.node, classes=setting.classes, exclusive=True, recipe=setting.recipe
    )
    return model


def weights_of(model: Model, run: Run) -> Tensor:
    """The weights of a trained model as one vector in float64 on the CPU."""
    if isinstance(model, LoopModel):
        state = model.net.state_dict()
    else:
        content = load_best(run.dir)
        assert content is not None
        state = content["model"].state_dict()  # type: ignore[attr-defined]
    parts = [value for value in state.values() if value.is_floating_point()]
    return torch.cat([part.detach().cpu().double().flatten() for part in parts])


@contextmanager
def exact_fp32() -> Iterator[None]:
    """Convolutions and matrix products on CUDA without TF32, as in a run of usbench."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


@contextmanager
def deterministic_kernels() -> Iterator[None]:
    """The same training twice gives the same weights, as far as CUDA has such kernels."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.deterministic = before[1]


# ---- predictions


def check_predictions(name: str, device: str, folder: Path, repeats: int) -> Check:
    """Train on the device; compare its predictions with those of the same weights on the CPU."""
    setting = load_setting(name)
    run = run_on(device, folder / f"predictions-{name}")
    images = [sample.image for sample in setting.samples]
    with exact_fp32():
        train(setting, run, repeats)
        predictions = []
        for place in ("cpu", device):
            model = make_model(setting)
            model.restore(replace(run, device=place))
            predictions.append(list(model.predict(images)))
    found = differences(*predictions)
    limits = {figure: ROUNDING[figure][0] for figure in found}
    return Check(f"{name}: difference between predictions on cpu and {device}", found, limits)


def differences(expected: Sequence[Target], found: Sequence[Target]) -> Figures:
    """How far predictions of the same images are from each other, as `ROUNDING` names it."""
    values: dict[str, list[float]] = defaultdict(list)
    for one, other in zip(expected, found, strict=True):
        for figure, distances in prediction_distances(one, other).items():
            values[figure] += distances
    return {
        figure: float(np.quantile(distances, ROUNDING[figure][1]))
        for figure, distances in values.items()
    }


def prediction_distances(one: Target, other: Target) -> dict[str, list[float]]:
    """The distances between two predictions of an image."""
    match one, other:
        case Masks(), Masks():
            assert one.probabilities is not None and other.probabilities is not None
            return {
                "share of pixels": [float((one.planes != other.planes).mean())],
                "probability": [float(abs(one.probabilities - other.probabilities).max())],
            }
        case Boxes(), Boxes():
            return box_distances(one, other)
        case Landmarks(), Landmarks():
            assert one.scores is not None and other.scores is not None
            pairs = zip(one.paths, other.paths, strict=True)
            return {
                "place, px": [float(abs(path[0] - same[0]).max()) for path, same in pairs],
                "score": abs(one.scores - other.scores).tolist(),
            }
    raise TypeError(f"expected two predictions of one kind, got {type(one)} and {type(other)}")


def box_distances(one: Boxes, other: Boxes) -> dict[str, list[float]]:
    """From each of the best boxes to the other prediction's nearest of its class."""
    assert one.scores is not None and other.scores is not None
    if not len(one.xyxy) or not len(other.xyxy):
        differ = float(len(one.xyxy) != len(other.xyxy))
        return {"box, px": [differ * OTHER_CLASS], "score": [differ]}
    edges: NDArray[np.floating] = abs(one.xyxy[:BEST_BOXES, None] - other.xyxy).max(2)
    edges = edges + OTHER_CLASS * (one.labels[:BEST_BOXES, None] != other.labels)
    scores = abs(one.scores[:BEST_BOXES, None] - other.scores)
    nearest = (edges + OTHER_SCORE * scores).argmin(1)[:, None]
    return {
        "box, px": np.take_along_axis(edges, nearest, 1)[:, 0].tolist(),
        "score": np.take_along_axis(scores, nearest, 1)[:, 0].tolist(),
    }


# ---- resuming


class Interrupted(Exception):
    """A run ends as if it were killed."""


def check_resuming(name: str, device: str, folder: Path) -> Check:
    """Compare an interrupted and resumed run with two that weren't interrupted."""
    setting = load_setting(name, epochs=EPOCHS)
    folders = [folder / f"resuming-{name}" / part for part in ("one", "repeated", "resumed")]
    epochs: list[list[int]] = [[], []]  # of the interrupted run, and after it was resumed

    def log_until(name: str, value: float, step: int) -> None:
        if step == INTERRUPTED:
            raise Interrupted
        epochs[0].append(step)

    def log(name: str, value: float, step: int) -> None:
        epochs[1].append(step)

    with exact_fp32(), deterministic_kernels(), patch.object(checkpoints, "SHARE", math.inf):
        runs = [run_on(device, folders[0]), run_on(device, folders[1])]
        with suppress(Interrupted):
            train(setting, run_on(device, folders[2], log_until))
        gc.collect()  # ultralytics' trainer and its processes
        runs.append(run_on(device, folders[2], log))
        one, repeated, resumed = (weights_of(train(setting, run), run) for run in runs)
    found = {
        "weights": relative_distance(resumed, one),
        "weights of a repeated run": relative_distance(repeated, one),
        "epochs trained twice": float(len({*epochs[0]} & {*epochs[1]})),
    }
    rounding = max(WEIGHTS, REPEATED * found["weights of a repeated run"])
    limits = {"weights": rounding, "epochs trained twice": 0.0}
    return Check(f"{name}: difference between a resumed and a whole run", found, limits)


def relative_distance(one: Tensor, other: Tensor) -> float:
    """The norm of the difference of two vectors, as a share of the second's norm."""
    return float((one - other).norm() / other.norm())


# ---- micro-batches


def check_micro_batches(device: str, folder: Path) -> Check:
    """Compare the gradients of a batch with those of its parts, added up.

    Normalisation is fixed and there is no soft Dice: both are of a part otherwise.
    """
    model = make_model(load_setting("unet"))
    assert isinstance(model, Segmenter)
    torch.manual_seed(0)
    run = run_on(device, folder / "micro-batches")
    net = loop.place(model.build().eval(), run, channels_last=True)
    images = torch.rand(BATCH, 1, *SIDES).to(device)
    targets = torch.randint(0, model.channels, (BATCH, 1, *SIDES), dtype=torch.uint8).to(device)
    loss, gradients = partial(exclusive_loss, dice=0.0), []
    with exact_fp32():
        for parts in (1, PARTS):
            net.zero_grad(set_to_none=True)
            loop.backward(net, loss, images, targets, parts, run)
            of_layers = [weight.grad for weight in net.parameters() if weight.grad is not None]
            gradients.append(torch.cat([gradient.flatten() for gradient in of_layers]))
    found = {"gradients": relative_distance(gradients[1], gradients[0])}
    return Check(
        f"unet: difference between a batch and its {PARTS} parts", found, {"gradients": GRADIENTS}
    )


# ---- memory


def check_memory(name: str, device: str, folder: Path, recipe: str) -> Check:
    """Measure what a training leaves in the GPU's memory; on a CPU nothing is measured."""
    setting = load_setting(name, recipe, epochs=1)
    # What the libraries keep for themselves is there after the first training.
    train(setting, run_on(device, folder / f"memory-{name}" / "first"))
    gc.collect()
    before = allocated_mib(device)
    model = train(setting, run_on(device, folder / f"memory-{name}" / "second"))
    at_once = allocated_mib(device) - before
    gc.collect()
    left = allocated_mib(device) - before
    weights = 4 * (model.parameters or 0) / MIB
    title = f"{name}: memory after training"
    if device == "cpu":
        return Check(title, {}, {}, ["measured on a GPU only"])
    found = {"MiB": left, "MiB before garbage is collected": at_once, "MiB of weights": weights}
    return Check(title, found, {"MiB": MEMORY * weights + MEMORY_MIB})


def allocated_mib(device: str) -> float:
    """MiB of the GPU that torch's tensors take; 0 for a CPU."""
    return 0.0 if device == "cpu" else torch.cuda.memory_allocated(device) / MIB


# ---- waits


@dataclass
class Waits:
    """Where the CPU waited for the GPU within the steps of a training's later epochs."""

    steps: int = 0
    places: Counter[str] = field(default_factory=Counter)  # file:line → waits of all steps


def check_waits(name: str, device: str, folder: Path) -> Check:
    """Count the waits per step; only nets whose work depends on their output may have any."""
    waits = count_waits(name, device, folder)
    found = {"waits": sum(waits.places.values()) / waits.steps}
    limits = {"waits": 0.0} if name in WITHOUT_WAITS else {}
    notes = [f"{place}: {n / waits.steps:.2g} a step" for place, n in waits.places.most_common(8)]
    return Check(f"{name}: waits for {device} in each step", found, limits, notes)


def count_waits(name: str, device: str, folder: Path, mode: str = "warn") -> Waits:
    """Train, and note each wait from the second epoch on: in the first, constants are sent.

    Args:
        mode: of torch.cuda.set_sync_debug_mode; with "error" the first wait raises RuntimeError.
    """
    setting, waits, epochs = setting_with_all_changes(name), Waits(), 0
    batches = loop.batches

    def watched_batches(*arguments: object) -> Iterator[Tensor]:
        nonlocal epochs
        epochs += 1
        if epochs == 1:
            yield from batches(*arguments)  # type: ignore[arg-type]
            return
        set_sync_mode(device, mode)
        for chosen in batches(*arguments):  # type: ignore[arg-type]
            waits.steps += 1
            yield chosen
        set_sync_mode(device, "default")

    try:
        with (
            patch.object(loop, "batches", watched_batches),
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always")
            train(setting, run_on(device, folder / f"waits-{name}-{mode}"), repeats=2)
    finally:
        set_sync_mode(device, "default")
    for warning in caught:
        if "synchroniz" in str(warning.message):
            path = Path(warning.filename)
            waits.places[f"{'/'.join(path.parts[-3:])}:{warning.lineno}"] += 1
    return waits


def set_sync_mode(device: str, mode: str) -> None:
    """What torch does where the CPU waits for a GPU: nothing by "default"; "warn" or "error"."""
    if device != "cpu":
        torch.cuda.set_sync_debug_mode(mode)


def setting_with_all_changes(name: str) -> Setting:
    """A model with every kind of augmentation: ranges, or the pipeline of its paper's recipe."""
    setting = load_setting(name)
    if not name.endswith("kumar2025"):
        return replace(setting, recipe={**setting.recipe, "augment": RANGES})
    published = load_setting(name, "kumar2025").recipe
    changes = {key: published[key] for key in ("chain", "normalise")}
    return replace(setting, recipe={**setting.recipe, **changes, "augment": {"hflip": 0}})
