"""What a phantom's anatomy is made of: seeded parameters, curves, textures, interfaces, ovals, and
painted tissue.

A scene (`scenes`) draws a `Body`: maps of scattering, attenuation and smooth interfaces, and a
plane per class, which `phantom` turns into an image. All lengths are pixels of the scene's
reference size; a `Frame` samples them at any other. Parameters come by name from `Draw`, so that
images of one subject resemble each other and a parameter more or less changes no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import cos, pi, sin, sqrt
from zlib import crc32

import numpy as np
import scipy
from numpy.typing import NDArray

from usbench.types import Landmarks

Floats = NDArray[np.floating]
Plane = NDArray[np.bool_]
# A mask (H, W), its echogenicity (dB) and, where it isn't as before, its loss (see `Body`).
Coat = tuple[Plane, float | Floats] | tuple[Plane, float | Floats, float]
NO_LANDMARKS = Landmarks((), np.zeros(0, np.int8))


@dataclass(frozen=True)
class Body:
    """The insonified tissue at the image's pixels or, where it has beams, at points along these."""

    echo: Floats  # (H, W) scattering, dB over the reference
    loss: Floats  # (H, W) attenuation, there and back, dB per reference px of depth
    coherent: Floats  # (H, W) amplitude of the echoes of smooth interfaces
    planes: Plane  # (C, H, W) where each class is
    gain: float  # the time-gain, dB per reference px of depth
    smooth: float  # SD of the scanner's display filter, reference px: more with more compounding
    scale: tuple[float, float]  # px per reference px (row, column)
    view: Plane | None = None  # (H, W) the field of view, black beyond it; None: the whole image
    mm_per_px: tuple[float, float] | None = None  # of the image (row, column)
    attributes: Mapping[str, str] = field(default_factory=dict)  # what a release would say of it
    landmarks: Landmarks = NO_LANDMARKS  # in px of the image
    # (H, W) row and column here of each pixel of the image; None: the same
    beams: tuple[Floats, Floats] | None = None


@dataclass(frozen=True)
class Draw:
    """Random parameters of image n of a subject, each from a stream of its own, got by name."""

    seed: int
    group: int
    n: int

    def stream(self, name: str) -> np.random.Generator:
        """A generator for this image alone."""
        return np.random.default_rng([self.seed, 1, self.n, crc32(name.encode())])

    def subject(self, name: str) -> np.random.Generator:
        """A generator for all images of this subject."""
        return np.random.default_rng([self.seed, 0, self.group, crc32(name.encode())])

    def vary(self, name: str, low: float, high: float) -> float:
        """The subject's value in low … high, jittered a little for this image."""
        place = self.subject(name).random() + 0.07 * self.stream(name).standard_normal()
        return float(low + (high - low) * np.clip(place, 0, 1))

    def choose(self, name: str, low: float, high: float) -> float:
        """The subject's value in low … high, the same in all its images."""
        return float(self.subject(name).uniform(low, high))

    def turn(self, prime: int) -> float:
        """A number in 0 … 1 that fills the interval evenly as n runs, by Weyl's sequence.

        With a prime per question, shares of images with a structure hold in small series too,
        independently of each other.
        """
        return (np.random.default_rng([self.seed, 2, prime]).random() + self.n * sqrt(prime)) % 1.0


@dataclass(frozen=True)
class Frame:
    """The pixels of an image in the coordinates of its scene's reference size."""

    draw: Draw
    reference: tuple[int, int]  # (H, W)
    size: tuple[int, int]  # (H, W)

    @property
    def scale(self) -> tuple[float, float]:
        """Image px per reference px (row, column)."""
        return self.size[0] / self.reference[0], self.size[1] / self.reference[1]

    @property
    def y(self) -> Floats:
        """(H, 1) depth of the rows' centres."""
        return np.arange(0.5, self.size[0], dtype=np.float32)[:, None] / np.float32(self.scale[0])

    @property
    def x(self) -> Floats:
        """(1, W) position of the columns' centres."""
        return np.arange(0.5, self.size[1], dtype=np.float32)[None] / np.float32(self.scale[1])

    def wave(self, name: str, amplitude: float, wavelength: float) -> Floats:
        """(1, W) a smooth curve about 0 of three sines, seldom over the amplitude.

        None is shorter than the wavelength.
        """
        total: Floats = np.zeros_like(self.x)
        for k in range(3):
            phase = self.draw.vary(f"{name} phase {k}", 0, 2 * pi)
            length = wavelength * self.draw.vary(f"{name} length {k}", 1, 2.2)
            total += np.sin(2 * pi * self.x / length + phase, dtype=np.float32)
        return np.float32(amplitude / 2) * total

    def grain(self, name: str, down: float, across: float, slope: float = 0.0) -> Floats:
        """(H, W) Gaussian texture of mean 0 and SD 1, its rows sheared by the slope.

        Args:
            name: of its random stream.
            down: correlation length along the columns, reference px.
            across: likewise along the rows.
            slope: rows down per column to the right.
        """
        height, width = self.size
        padded = (
            scipy.fft.next_fast_len(height, real=True),
            scipy.fft.next_fast_len(width, real=True),
        )
        white = self.draw.stream(name).standard_normal(padded, np.float32)
        fy = scipy.fft.fftfreq(padded[0]).astype(np.float32)[:, None] * np.float32(
            down * self.scale[0]
        )
        fx = scipy.fft.rfftfreq(padded[1]).astype(np.float32)[None] * np.float32(
            across * self.scale[1]
        )
        transfer = np.exp(np.float32(-2 * pi**2) * fy**2) * np.exp(np.float32(-2 * pi**2) * fx**2)
        smooth: Floats = scipy.fft.irfft2(scipy.fft.rfft2(white) * transfer, s=padded)
        smooth = ((smooth - smooth.mean()) / smooth.std()).astype(np.float32)
        if slope == 0.0:
            return smooth[:height, :width]
        shift = np.rint(slope * self.x * self.scale[0]).astype(np.int64)
        return np.take_along_axis(
            smooth[:, :width], (np.arange(height)[:, None] - shift) % padded[0], axis=0
        )

    def line(self, depth: Floats, sd: float, amplitude: float | Floats) -> Floats:
        """(H, W) echo of a smooth interface at depth (1, W), weaker where it is aslant."""
        facing = np.exp(-((np.gradient(depth[0], self.x[0]) / 0.4) ** 2)).astype(np.float32)
        near = slice(*np.searchsorted(self.y[:, 0], [depth.min() - 5 * sd, depth.max() + 5 * sd]))
        echo = np.zeros(self.size, np.float32)
        echo[near] = (
            amplitude * facing * np.exp(-0.5 * ((self.y[near] - depth) / np.float32(sd)) ** 2)
        )
        return echo

    def blob(
        self,
        name: str,
        centre: tuple[float, float],
        radii: tuple[float, float],
        ragged: float = 0.0,
    ) -> Floats:
        """(H, W) distance from the centre (x, y) of an oval with ripples; 1 on its outline."""
        tilt = self.draw.vary(f"{name} tilt", -0.25, 0.25)
        dx, dy = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        u = (dx * cos(tilt) + dy * sin(tilt)) / np.float32(radii[0])
        v = (dy * cos(tilt) - dx * sin(tilt)) / np.float32(radii[1])
        distance: Floats = np.hypot(u, v).astype(np.float32)
        near = np.nonzero(distance < 1.5)
        angle = np.arctan2(v[near], u[near])
        outline = np.ones_like(angle)
        for k in (2, 3, 5, 7):
            phase = self.draw.vary(f"{name} ripple {k}", 0, 2 * pi)
            outline += np.float32(ragged / sqrt(k)) * np.cos(k * angle + phase, dtype=np.float32)
        distance[near] /= outline
        return distance


def paint(body: Body, *coats: Coat) -> Body:
    """The body with its echogenicity, and its loss if given, replaced coat by coat."""
    for where, echo, *loss in coats:
        body = replace(body, echo=np.where(where, np.float32(echo), body.echo))
        if loss:
            body = replace(body, loss=np.where(where, np.float32(loss[0]), body.loss))
    return body


def tissue(
    frame: Frame, classes: tuple[str, ...], echo: Floats, gain: float, smooth: float
) -> Body:
    """A body of one tissue, attenuating as the time-gain expects, without structures."""
    return Body(
        np.broadcast_to(echo, frame.size).astype(np.float32),
        np.full(frame.size, gain, np.float32),
        np.zeros(frame.size, np.float32),
        np.zeros((len(classes), *frame.size), bool),
        gain,
        smooth,
        frame.scale,
    )


def mark(body: Body, label: int, where: Plane) -> Body:
    """The body with the structure's mask (H, W), which what was drawn before loses."""
    planes = body.planes & ~where
    planes[label] |= where
    return replace(body, planes=planes)


def enclose(
    body: Body, label: int, distance: Floats, rim: float | Floats = 0.0, inner: float = 1.0
) -> Body:
    """The body with an oval structure marked, without interfaces within it but for its rim.

    Args:
        body: painted.
        label: the structure's class.
        distance: see `Frame.blob`.
        rim: (H, W) echo of its wall.
        inner: the distance within which no interface is left.
    """
    coherent = body.coherent * (distance >= inner) + rim
    return mark(replace(body, coherent=coherent.astype(np.float32)), label, distance < 1)


def scan(frame: Frame, body: Body, fade: float) -> Body:
    """The body as this probe position sees it.

    The contact is uneven, interfaces glint, and levels fade with depth.
    """
    fall = fade * frame.y / frame.reference[0] + frame.wave("contact", 1.5, 180)
    glint = np.float32(10) ** ((fall + 4 * frame.grain("glint", 5, 16)) / np.float32(20))
    return replace(
        body,
        echo=body.echo + fall.astype(np.float32),
        coherent=(body.coherent * glint).astype(np.float32),
    )


def wall(
    frame: Frame, distance: Floats, centre: tuple[float, float], radius: float, sd: float
) -> Floats:
    """(H, W) echo of a round wall: strong above and below, faint where the beam grazes it."""
    facing = np.clip(((frame.y - centre[1]) / radius) ** 2 * 1.6, 0.03, 1).astype(np.float32)
    return np.asarray(np.exp(-0.5 * ((distance - 1) * radius / np.float32(sd)) ** 2) * facing)
