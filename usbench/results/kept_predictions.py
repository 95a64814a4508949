"""The test predictions that stay beside a published result, so that it can be scored again.

    results/<dataset>/<task>/<model>-s<seed>-<run id>.predictions.json.gz

Gzipped JSON of three keys: `images` and `predictions` are the texts of the run's images-test.json
and predictions-test.json (see predictions.py), `thresholds` what the scorer takes from validation.
The result states the sha256 of predictions-test.json. Probabilities aren't kept. Only results on
real data whose labels may be redistributed have such a file.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from usbench.datasets.dataset import Samples
from usbench.errors import DataError
from usbench.results.gallery.file import redistribute_of
from usbench.results.predictions import StoredPredictions, prediction_files, read_predictions
from usbench.results.result import Result
from usbench.results.store import pack_text

KEYS = ("images", "thresholds", "predictions")  # in the file's order
REMEDY = "write it again with usbench gallery, or remove it"


@dataclass(frozen=True)
class KeptPredictions:
    """What the file holds, as JSON texts; not yet compared with a dataset."""

    images: str
    thresholds: Mapping[str, float]  # the scorer's arguments that were chosen on validation
    predictions: str

    def read(self, samples: Samples, folder: Path) -> StoredPredictions:
        """The predictions, checked against the test samples.

        Args:
            samples: of the test split.
            folder: the run's, whether or not it is there.

        Raises:
            DataError: they are damaged, or predictions of other images.
        """
        with TemporaryDirectory(prefix="usbench-") as temporary:
            predictions, images = prediction_files(Path(temporary), "test")
            predictions.write_text(self.predictions, "utf-8")
            images.write_text(self.images, "utf-8")
            return replace(read_predictions(Path(temporary), "test", samples), folder=folder)


def why_not_kept(result: Result) -> str | None:
    """Why a result keeps no predictions, for people; None where it does."""
    redistribute = redistribute_of(result)
    obstacles = {
        f"expected a finished result, got status {result.status}": not result.is_done,
        "expected a result on real images, got one on a phantom": result.data.phantom,
        "expected labels that may be redistributed (redistribute: labels or images), "
        f"got redistribute: {redistribute}": redistribute not in ("labels", "images"),
        "expected stored predictions, got a result of "
        f"origin {result.origin} without any": result.predictions is None,
    }
    return next((reason for reason, is_there in obstacles.items() if is_there), None)


def pack_predictions(folder: Path, thresholds: Mapping[str, float]) -> bytes:
    """The file's bytes from a run's folder; the same predictions give the same bytes."""
    predictions, images = (path.read_text("utf-8") for path in prediction_files(folder, "test"))
    texts = (images.rstrip("\n"), json.dumps(dict(thresholds)), predictions.rstrip("\n"))
    entries = (f'"{name}":{text}' for name, text in zip(KEYS, texts, strict=True))
    return pack_text(f"{{{','.join(entries)}}}\n")


def load_kept(place: Path, sha256: str | None = None) -> KeptPredictions:
    """Read a file of kept predictions.

    Args:
        place: the file.
        sha256: that its result states; None: no result is known.

    Raises:
        DataError: it is missing or damaged, or its result was scored from other predictions.
    """
    texts, end = {}, 0
    try:
        content = gzip.decompress(place.read_bytes()).decode()
        for name in KEYS:
            start = content.index(f'"{name}":', end) + len(name) + 3
            _, end = json.JSONDecoder().raw_decode(content, start)
            texts[name] = content[start:end] + "\n"
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise DataError(
            f"{place}: expected gzipped JSON of {', '.join(KEYS)}, got a damaged file ({error}); "
            f"{REMEDY}"
        ) from error
    own = hashlib.sha256(texts["predictions"].encode()).hexdigest()
    if sha256 not in (None, own):
        raise DataError(
            f"{place}: expected the predictions that the result was scored from, got others; "
            f"{REMEDY}"
        )
    return KeptPredictions(texts["images"], json.loads(texts["thresholds"]), texts["predictions"])
