"""A gallery on disk: curves and three pictures beside a result's record, checked by gallery.schema.json when read.

    results/<dataset>/<task>/<model>-s<seed>-<key>.gallery.json.gz

There is one only of a finished result on real images that may be shared. It knows files and JSON, no pictures.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from usbench.errors import DataError
from usbench.io.json_schema import find_fault, load_schema

Gallery = dict[str, Any]
SUFFIX = ".gallery.json.gz"  # no *.json: those beside it are records
REMEDY = "make it again with scripts/gallery.py, or remove it"


def path_of(record: Path) -> Path:
    """The gallery's place beside a record's file."""
    return record.with_name(record.stem + SUFFIX)


def share_of(record: Mapping[str, Any]) -> str:
    """Whether the images of a result may be shown: open or none; what isn't said isn't shared."""
    return str(((record.get("config") or {}).get("dataset") or {}).get("redistribute") or "none")


def is_open(record: Mapping[str, Any]) -> bool:
    """Whether images, and their names, may be shown: those of a release that says so, never a phantom's."""
    return share_of(record) == "images" and not record["data"]["phantom"]


def refusal(record: Mapping[str, Any]) -> str | None:
    """Why a result has no gallery, in words; None where it may have one."""
    if record["status"] != "done":
        return f"a finished result was wanted, found {record['status']}"
    if record["data"]["phantom"]:
        return "a result on real images was wanted, found a phantom's"
    if not is_open(record):
        return f"images that may be shown were wanted (redistribute: images), found redistribute: {share_of(record)}"
    if sha256_of(record) is None:
        return f"a result with stored predictions was wanted, found one of origin {record['origin']} without any"
    return None


def encode(gallery: Gallery) -> bytes:
    """Gzipped JSON; the same gallery gives the same bytes."""
    text = json.dumps(
        gallery, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    )
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(text.encode())
    return packed.getvalue()


def load(record: Path, content: Mapping[str, Any]) -> Gallery | None:
    """The gallery beside a record's file, None where there is none. content: the record.

    Raises DataError, naming the file and the key, where it isn't whole, breaks the schema, or was drawn from other
    predictions than the record's.
    """
    path = path_of(record)
    try:
        gallery = json.loads(gzip.decompress(path.read_bytes()), parse_constant=not_finite)
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: wanted gzipped JSON, found a damaged file ({error}); {REMEDY}"
        ) from error
    wrong = fault(gallery)
    if wrong is not None:
        raise DataError(f"{path}: {wrong}; {REMEDY}")
    assert isinstance(gallery, dict)
    for name, wanted in (("run_id", content["run_id"]), ("predictions_sha256", sha256_of(content))):
        if gallery[name] != wanted:
            raise DataError(
                f"{path}: key {name}: wanted the record's, {wanted}, found {gallery[name]}; {REMEDY}"
            )
    return gallery


def sha256_of(record: Mapping[str, Any]) -> str | None:
    """That of the test predictions that a record was scored from."""
    found: str | None = (record.get("predictions") or {}).get("sha256")
    return found


def not_finite(word: str) -> float:
    """Refuse what Python reads beyond JSON: NaN, Infinity."""
    raise ValueError(f"{word} is no number")


def fault(gallery: object) -> str | None:
    """What is wrong with a gallery as one line that names the key, or None where it keeps the schema.

    Beyond the schema: a shape's class is one of `classes`, and its coordinates are pairs, a box's four.
    """
    wrong = find_fault(load_schema("usbench.results.gallery", "gallery.schema.json"), gallery)
    if wrong is not None:
        return wrong
    assert isinstance(gallery, dict)
    return next(odd_shapes(gallery), None)


def odd_shapes(gallery: Gallery) -> Iterator[str]:
    """A line for every shape that can't be drawn."""
    most = len(gallery["classes"])
    for n, case in enumerate(gallery["cases"]):
        for side in ("truth", "prediction"):
            for m, shape in enumerate(case[side]["shapes"]):
                key = f"key cases[{n}].{side}.shapes[{m}]"
                if shape["class"] >= most:
                    yield f"{key}.class: wanted one of {most} classes, counted from 0, found {shape['class']}"
                if any(
                    len(line) % 2 or (shape["kind"] == "box" and len(line) != 4)
                    for line in shape["at"]
                ):
                    yield f"{key}.at: wanted pairs of x and y, of a box two, found another number of coordinates"
            if any(number >= most for number in case[side]["unknown"]):
                yield f"key cases[{n}].{side}.unknown: wanted some of {most} classes, counted from 0, found another"
