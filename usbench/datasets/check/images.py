"""What the pixels of a release's images say of themselves: size, grey levels, tint, a digest and a
thumbnail.

Each image is decoded once, as a run would read it, and its pixels are let go: memory grows by some
1.5 kB an image.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from usbench.datasets.check.findings import Finding, finding_of_error
from usbench.datasets.codecs import image
from usbench.datasets.splits import THUMBNAIL
from usbench.errors import DataError
from usbench.io.console import track

FEWEST_LEVELS = 32  # between the darkest and the brightest pixel; below it there is hardly an image


@dataclass(frozen=True)
class ImageFacts:
    """One decoded image."""

    size: tuple[int, int]  # (H, W) px
    low: int  # darkest and brightest luma, 0..255
    high: int
    tinted: bool  # red, green and blue differ somewhere
    digest: (
        bytes  # sha256 of size and luma: equal for pixel-identical images, however they are stored
    )
    thumbnail: NDArray[np.uint8]  # (32, 32) luma, bilinear


def examine_image(path: Path) -> ImageFacts:
    """Decode one image.

    Raises:
        DataError: a run couldn't read it.
    """
    picture, _ = image.decode_image(path, "an 8-bit grey or colour picture", image.GREY_MODES)
    grey = picture.convert("L")
    luma = np.asarray(grey)
    digest = hashlib.sha256(repr(luma.shape).encode() + luma.tobytes()).digest()
    thumbnail = np.asarray(grey.resize(THUMBNAIL[::-1], Image.Resampling.BILINEAR))
    size = (luma.shape[0], luma.shape[1])
    return ImageFacts(size, int(luma.min()), int(luma.max()), is_tinted(picture), digest, thumbnail)


def is_tinted(picture: Image.Image) -> bool:
    """Whether any pixel has a colour."""
    if picture.mode in ("1", "L", "LA"):
        return False
    red, green, blue = picture.convert("RGB").split()
    return red.tobytes() != green.tobytes() or green.tobytes() != blue.tobytes()


def examine_images(root: Path, names: Iterable[str]) -> tuple[dict[str, ImageFacts], list[Finding]]:
    """Every image by its path relative to the root.

    One that can't be read is a finding, and the rest goes on.
    """
    found: dict[str, ImageFacts] = {}
    findings: list[Finding] = []
    for name in track(list(names), "decoding"):
        try:
            found[name] = examine_image(root / name)
        except DataError as wrong:
            findings.append(finding_of_error("unreadable image", wrong, root))
        else:
            findings += find_odd(name, found[name])
    return found, findings


def find_odd(name: str, picture: ImageFacts) -> list[Finding]:
    """A warning for an image without content."""
    if picture.high == 0:
        return [Finding("warning", "odd image", f"{name}: all black")]
    if picture.low == picture.high:
        return [Finding("warning", "odd image", f"{name}: every pixel is {picture.low}")]
    if picture.high - picture.low < FEWEST_LEVELS:
        return [
            Finding(
                "warning", "odd image", f"{name}: grey levels of {picture.low}..{picture.high} only"
            )
        ]
    return []


def summarise(pictures: Mapping[str, ImageFacts]) -> dict[str, object]:
    """{images, sizes (H×W → count, commonest first), darkest, brightest, tinted} as plain data."""
    sizes = Counter(f"{one.size[0]}×{one.size[1]}" for one in pictures.values())
    return {
        "images": len(pictures),
        "sizes": dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))),
        "darkest": min((one.low for one in pictures.values()), default=None),
        "brightest": max((one.high for one in pictures.values()), default=None),
        "tinted": sum(one.tinted for one in pictures.values()),
    }
