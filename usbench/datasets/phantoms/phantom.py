"""Believable synthetic B-mode with exactly known targets: the physics, and the series of samples.

Knows how an echo becomes a grey level: fully developed speckle (many random scatterers per
resolution cell, so a Rayleigh envelope), a point-spread function that widens with depth,
attenuation along the beam against a fixed time-gain, coherent echoes of smooth interfaces, log
compression. What is insonified comes from `usbench.datasets.phantoms.scenes`. Knows no file format:
a layout writes the samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from usbench.datasets.phantoms import scenes
from usbench.datasets.phantoms.anatomy import Body, Draw, Floats
from usbench.datasets.phantoms.scenes import CLASSES, SHAPE_TASKS
from usbench.errors import ConfigError
from usbench.types import SPLITS, Boxes, Masks, Sample, Split, Target, Task

VERSION = 1  # bumped when the pixels change; part of a phantom's fingerprint

SMALLEST_SIDE = 32  # px; below it the anatomy's layers vanish between the rows
DYNAMIC_RANGE_DB = 58.0
WHITE_DB = 30.0  # the level shown as 255, over the reference echogenicity of 0 dB
NOISE_DB = -34.0  # receiver noise, after time-gain, at the bottom of the image
HAZE_DB = -24.0  # clutter from reverberation and side lobes: no fluid and no shadow is quite black
AXIAL_PX = 1.1  # standard deviation of the pulse, at the scene's reference size
LATERAL_PX = (1.5, 3.2)  # standard deviation of the beam at the top and at the bottom, likewise


@dataclass(frozen=True)
class PhantomSpec:
    """A series of phantom images.

    (scene, size, seed) and a sample's number and group decide its pixels.
    """

    scene: str  # a name of usbench.datasets.phantoms.scenes: of SCENES or of SHAPES
    size: tuple[int, int]  # (H, W) native pixels
    counts: dict[str, int]  # images per split; a split may be missing
    seed: int
    id: str = "{n:04d}"  # pattern of a sample's id: n counts over all splits from 1; group (int)
    per_group: int = 4  # consecutive images of one split that share a subject
    tint: bool = False  # for the layout that writes colour; the pixels here are grey


def draw_samples(
    spec: PhantomSpec, task: Task, classes: Sequence[str] | None = None
) -> Iterator[Sample]:
    """The samples of the series, drawn lazily, in the order train, val, test.

    The same sample has the same image in every task of one scene and the same classes.

    Args:
        spec: of the series.
        task: whose targets they have.
        classes: of the view, which a scene of `SHAPES` needs; one of `SCENES` has its own.

    Raises:
        ConfigError: an unknown scene or split, a task that the scene doesn't have, or a size, seed,
            count or id pattern that can't be drawn.
    """
    _check(spec, task)
    if not classes:
        classes = scene_classes(spec, task)
    if spec.scene in CLASSES and len(classes) != len(CLASSES[spec.scene][task]):
        raise ConfigError(
            f"phantom scene {spec.scene!r}: expected {len(CLASSES[spec.scene][task])} classes, got "
            f"{len(classes)} ({', '.join(classes)}); {', '.join(SHAPE_TASKS)} take any"
        )
    return _samples(spec, task, classes)


def scene_classes(spec: PhantomSpec, task: Task) -> tuple[str, ...]:
    """The names that the scene has for a task; ConfigError for one that it doesn't have."""
    _check(spec, task)
    if spec.scene not in CLASSES:
        raise ConfigError(f"phantom scene {spec.scene!r}: expected the view's classes, got none")
    return CLASSES[spec.scene][task]


def _samples(spec: PhantomSpec, task: Task, classes: Sequence[str]) -> Iterator[Sample]:
    for n, group, split in _numbers(spec):
        draw = Draw(spec.seed, group, n)
        body = scenes.draw_body(spec.scene, draw, spec.size, classes)
        yield Sample(
            id=spec.id.format(n=n, group=group),
            group=f"g{group}",
            image=render_bmode(body, draw.stream("speckle")),
            target=_target_of(body, task, spec.scene),
            mm_per_px=body.mm_per_px,
            split=split,
            attributes=dict(body.attributes),
        )


def simulate_speckle(
    echogenicity: Floats,
    rng: np.random.Generator,
    axial: float = AXIAL_PX,
    lateral: tuple[float, float] = LATERAL_PX,
    coherent: Floats | None = None,
) -> Floats:
    """The envelope (H, W) of the echo from random scatterers of RMS amplitude `echogenicity`.

    One circular complex Gaussian scatterer per pixel, filtered by a Gaussian point-spread function
    of standard deviation `axial` px down and `lateral` px across (at the top and at the bottom,
    linear between), normalised to unit energy: a uniform region has E[envelope²] = echogenicity²
    and a Rayleigh envelope with mean / SD = sqrt(pi / (4 - pi)) = 1.913 (Goodman 1975; Wagner et
    al. 1983). `coherent` (H, W) is the amplitude of interfaces' deterministic echoes, added to the
    filtered field (a Rician envelope there).
    """
    height, width = echogenicity.shape
    # The filter by FFT is periodic: its wrap-around stays in the margin.
    margin = int(4 * max(lateral)) + 1
    columns = scipy.fft.next_fast_len(width + 2 * margin)
    field = np.empty((height, columns), np.complex64)
    field.real = rng.standard_normal(field.shape, np.float32)
    field.imag = rng.standard_normal(field.shape, np.float32)
    field *= np.pad(
        echogenicity / np.float32(np.sqrt(2)),
        ((0, 0), (margin, columns - width - margin)),
        mode="edge",
    )
    sigma = np.linspace(lateral[0], lateral[1], height, dtype=np.float32)[:, None]
    transfer = np.exp(-2 * (np.pi * sigma * scipy.fft.fftfreq(columns).astype(np.float32)) ** 2)
    transfer /= np.sqrt(np.mean(transfer**2, axis=1, keepdims=True))
    field = scipy.fft.ifft(scipy.fft.fft(field, axis=1) * transfer, axis=1)[
        :, margin : margin + width
    ]
    taps = np.exp(-0.5 * (np.arange(-int(4 * axial) - 1, int(4 * axial) + 2) / axial) ** 2)
    taps /= np.sqrt(np.sum(taps**2))
    real = scipy.ndimage.correlate1d(field.real, taps, axis=0, mode="reflect")
    imaginary = scipy.ndimage.correlate1d(field.imag, taps, axis=0, mode="reflect")
    return np.asarray(np.hypot(real if coherent is None else real + coherent, imaginary))


def render_bmode(body: Body, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The 8-bit B-mode image (H, W) of a body.

    The time-gain assumes the scene's mean attenuation, so that what attenuates less is followed by
    enhancement and what attenuates more by shadow, in its own columns. The receiver's noise gets
    the same gain.
    """
    rows, columns = body.scale
    depth = np.arange(len(body.echo), dtype=np.float32)[:, None] / np.float32(rows)
    loss = scipy.ndimage.gaussian_filter1d(body.loss, 3 * columns, axis=1) / np.float32(rows)
    gain = body.gain * depth - (np.cumsum(loss, axis=0, dtype=np.float32) - loss)
    noise = 10 ** ((NOISE_DB + body.gain * (depth - depth[-1])) / 10) + 10 ** (HAZE_DB / 10)
    envelope = simulate_speckle(
        np.sqrt(10 ** ((body.echo + gain) / 10) + noise),
        rng,
        max(0.6, AXIAL_PX * rows),
        (max(0.6, LATERAL_PX[0] * columns), max(0.6, LATERAL_PX[1] * columns)),
        body.coherent * 10 ** (gain / np.float32(20)),
    )
    image = compress(envelope, body.smooth * columns)
    if body.beams is not None:
        swept = scipy.ndimage.map_coordinates(
            image, body.beams, np.float32, order=1, mode="nearest"
        )
        image = (swept + np.float32(0.5)).astype(np.uint8)
    return image if body.view is None else np.where(body.view, image, np.uint8(0))


def compress(envelope: Floats, smooth: float = 0.0) -> NDArray[np.uint8]:
    """Grey levels (H, W) of an envelope: the logarithm, DYNAMIC_RANGE_DB up to WHITE_DB.

    `smooth` is the standard deviation, in px, of the display filter over the logarithmic levels.
    """
    level: Floats = 20 * np.log10(np.maximum(envelope, np.float32(1e-6)))
    level = (scipy.ndimage.gaussian_filter(level, smooth) - WHITE_DB) / DYNAMIC_RANGE_DB
    return np.asarray(np.clip(255 * (1 + level) + 0.5, 0, 255), np.uint8)


def _numbers(spec: PhantomSpec) -> Iterator[tuple[int, int, Split]]:
    """(n, group, split) of every sample: both numbers run on over the splits.

    A split starts a new group.
    """
    n = group = 0
    for split in SPLITS:
        for position in range(spec.counts.get(split, 0)):
            n += 1
            group += position % spec.per_group == 0
            yield n, group, split


def _target_of(body: Body, task: Task, scene: str) -> Target:
    if task == "landmark":
        return body.landmarks
    if task == "segment":
        return Masks(body.planes)
    if scene not in CLASSES:
        return _boxes(body.planes)
    detected = [CLASSES[scene]["segment"].index(name) for name in CLASSES[scene]["detect"]]
    return _boxes(body.planes[detected])


def _boxes(planes: NDArray[np.bool_]) -> Boxes:
    """Boxes around the connected components of each plane (C, H, W)."""
    corners: list[tuple[int, int, int, int]] = []
    labels: list[int] = []
    for label, plane in enumerate(planes):
        for rows, columns in scipy.ndimage.find_objects(
            scipy.ndimage.label(plane, np.ones((3, 3)))[0]
        ):
            corners.append((columns.start, rows.start, columns.stop, rows.stop))
            labels.append(label)
    return Boxes(np.array(corners, np.float32).reshape(-1, 4), np.array(labels, np.int64))


def _check(spec: PhantomSpec, task: Task) -> None:
    """Raise ConfigError where `draw_samples` does."""
    tasks = {**{scene: tuple(tasks) for scene, tasks in CLASSES.items()}, **SHAPE_TASKS}
    if spec.scene not in tasks:
        raise ConfigError(f"phantom scene {spec.scene!r}: expected one of {', '.join(tasks)}")
    if task not in tasks[spec.scene]:
        raise ConfigError(
            f"phantom scene {spec.scene!r} has no task {task!r}: "
            f"expected {' or '.join(tasks[spec.scene])}"
        )
    unknown = sorted(spec.counts.keys() - set(SPLITS))
    faults = (
        (
            bool(unknown),
            f"phantom counts: expected {', '.join(SPLITS)}, got {', '.join(map(repr, unknown))}",
        ),
        (
            min(spec.seed, spec.per_group - 1, *spec.counts.values()) < 0,
            "phantom: expected a seed and counts of at least 0 and per_group of at least 1, "
            f"got seed {spec.seed}, counts {dict(spec.counts)}, per_group {spec.per_group}",
        ),
        (
            len(spec.size) != 2 or min(spec.size) < SMALLEST_SIDE,
            f"phantom size: expected (H, W) of at least {SMALLEST_SIDE} px each, "
            f"got {tuple(spec.size)}",
        ),
    )
    for is_faulty, message in faults:
        if is_faulty:
            raise ConfigError(message)
    try:
        spec.id.format(n=1, group=1)
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"phantom id pattern {spec.id!r}: expected fields n and group only ({error})"
        ) from error
