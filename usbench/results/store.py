"""What a result is on disk: one JSON record per run, checked by schema.py, and its case table beside it.

    results/<dataset>/<task>/<model>-s<seed>-<key>.json            a record on real data
    results/<dataset>/<task>/<model>-s<seed>-<key>.cases.csv.gz    its cases, one row per case and class
    results/phantom/<dataset>/<task>/…                             the same on phantoms, never mixed with the above

Files are written beside their place and then moved there, so that a reader sees the old file or the new one,
never a part. It knows files and JSON, no torch and no Hydra.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from usbench.errors import DataError, RunError
from usbench.results.schema import fault, schema

RecordJson = dict[str, Any]
CASES = ".cases.csv.gz"
PHANTOM = "phantom"  # the folder of phantom records
LOWER = ("_px", "_mm", "_diag")  # scores that end so are distances
REMEDY = "restore it from version control, or remove it and run again"


def lower_is_better(score: str) -> bool:
    """Whether a score is a distance; a surface Dice within so many mm (nsd_mm) is none."""
    return score.partition(":")[0].endswith(LOWER) and not score.startswith("nsd")


def record_path(results: Path, record: Mapping[str, Any]) -> Path:
    """Where a record belongs below the results folder; without a seed the name has no `-s<seed>`."""
    seed = "" if record["seed"] is None else f"-s{record['seed']}"
    folder = results / PHANTOM if record["data"]["phantom"] else results
    return folder.joinpath(
        record["dataset"], record["task"], f"{record['model']}{seed}-{record['run_id']}.json"
    )


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write files so that each is whole or untouched: all are written beside their place first, then moved in order.

    Raises RunError (full disk, read-only folder) with no temporary file left and nothing moved that isn't whole.
    """
    parts = {path: path.with_name(f".{path.name}.{secrets.token_hex(6)}.part") for path in files}
    path = Path()
    try:
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(files[path])
                file.flush()
                os.fsync(file.fileno())
        for path, part in parts.items():
            part.replace(path)
            sync_folder(
                path.parent
            )  # before the next: a record is never there without its case table
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror}); free some space there or choose another folder"
        ) from error
    finally:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename outlive a power cut, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cell(value: object, column: str) -> str:
    """A table's cell: "" for null, nine digits for a float (enough for any float32), 1 or 0 for a truth value."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    plain = value.item() if hasattr(value, "item") else value  # a NumPy scalar
    if isinstance(plain, float):
        if not math.isfinite(plain):
            raise RunError(
                f"case table, column {column}: wanted a finite number or null, found {plain}"
            )
        return f"{plain + 0.0:.9g}"  # + 0.0: no "-0"
    return str(int(plain)) if isinstance(plain, bool) else str(plain)


def encode_cases(cases: Sequence[Mapping[str, Any]]) -> bytes:
    """The case table as gzipped CSV; the same cases give the same bytes (no time and no name in the header)."""
    columns = list(dict.fromkeys(name for case in cases for name in case))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(columns)
    rows.writerows([_cell(case.get(name), name) for name in columns] for case in cases)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(text.getvalue().encode())
    return packed.getvalue()


def mask_ids(
    cases: Iterable[Mapping[str, Any]], share: str | None, dataset: str
) -> list[dict[str, Any]]:
    """The cases with `case` and `group` replaced by sha256(dataset + id), 12 digits, where share is none.

    A missing `share` counts as none: what isn't known to be shareable isn't shared.
    """
    if share not in (None, False, "", "none"):
        return [dict(case) for case in cases]

    def masked(value: object) -> str | None:
        return (
            None if value is None else hashlib.sha256(f"{dataset}{value}".encode()).hexdigest()[:12]
        )

    return [
        {name: masked(v) if name in ("case", "group") else v for name, v in case.items()}
        for case in cases
    ]


def save(
    results: Path, record: Mapping[str, Any], cases: Sequence[Mapping[str, Any]] | None = None
) -> Path:
    """Write a record and its case table (first); the record's path.

    `cases`, `cases_sha256` and, where it lacks one, `reason` are filled in. Without cases, a table that the record
    names and that is there is kept. A record that isn't done never replaces one that is: then nothing is written.
    Raises RunError where the record breaks the schema or cannot be written, DataError where the record in its place
    is damaged and this one isn't done.
    """
    path = place(results, record)
    if record["status"] != "done" and path.exists() and load(path)["status"] == "done":
        return path
    table, files = _table(path), files_of(path, record, cases)
    write_all(files)
    if table not in files and record.get("cases") != table.name:
        table.unlink(missing_ok=True)
    return path


def place(results: Path, record: Mapping[str, Any]) -> Path:
    """Where a record goes. RunError where it breaks the schema."""
    wrong = fault({"reason": None, **record})
    if wrong is not None:
        raise RunError(
            f"result of {record.get('model')} on {record.get('dataset')} not saved: {wrong}"
        )
    return record_path(results, record)


def _table(path: Path) -> Path:
    """The case table beside a record."""
    return path.with_name(path.stem + CASES)


def files_of(
    path: Path, record: Mapping[str, Any], cases: Sequence[Mapping[str, Any]] | None
) -> dict[Path, bytes]:
    """The files of a record: its case table, if it brings one, then itself."""
    table = _table(path)
    packed = encode_cases(cases) if cases else None
    named: dict[str, str | None]
    if packed is not None:
        named = {"cases": table.name, "cases_sha256": hashlib.sha256(packed).hexdigest()}
    elif record.get("cases") == table.name and table.exists():
        named = {"cases": table.name, "cases_sha256": record.get("cases_sha256")}
    else:
        named = {"cases": None, "cases_sha256": None}
    files = {} if packed is None else {table: packed}
    return {**files, path: _encode({"reason": None, **record, **named})}


def _encode(record: Mapping[str, Any]) -> bytes:
    """The record as JSON text: the schema's keys in its order, then any others by name."""
    known = [name for name in schema()["properties"] if name in record]
    order = known + sorted(set(record) - set(known))
    return (
        json.dumps({k: record[k] for k in order}, indent=1, ensure_ascii=False, allow_nan=False)
        + "\n"
    ).encode()


def load(path: Path) -> RecordJson:
    """One record. Raises DataError, naming the file and the key, where it isn't whole or breaks the schema."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: wanted a JSON record, found a damaged file ({error}); {REMEDY}"
        ) from error
    wrong = fault(record)
    if wrong is not None:
        raise DataError(f"{path}: {wrong}; {REMEDY}")
    assert isinstance(record, dict)
    return record


def load_cases(path: Path) -> list[dict[str, str]]:
    """The case table of a record, given the record's path or the table's own; [] where it has none.

    Raises DataError where the table is missing, damaged, or not the one that the record was written with.
    """
    path = (
        path.with_name(path.name.removesuffix(CASES) + ".json")
        if path.name.endswith(CASES)
        else path
    )
    return read_cases(path, load(path))


def read_cases(path: Path, record: Mapping[str, Any]) -> list[dict[str, str]]:
    """The case table of a record that is already loaded; see `load_cases`."""
    if record.get("cases") is None:
        return []
    table = path.with_name(record["cases"])
    try:
        packed = table.read_bytes()
        text = gzip.decompress(packed).decode()
    except (OSError, EOFError, ValueError) as error:
        raise _no_table(table, path, error) from error
    _check_table(table, path, record, hashlib.sha256(packed).hexdigest())
    header, *lines = list(csv.reader(io.StringIO(text))) or [[]]
    if {len(line) for line in lines} - {len(header)}:
        raise _no_table(table, path, ValueError("rows of unequal length"))
    return [dict(zip(header, line, strict=True)) for line in lines]


def cases_digest(path: Path, record: Mapping[str, Any]) -> str:
    """sha256 of the case table's file, which isn't unpacked; DataError as `load_cases`. The record must name one."""
    table = path.with_name(record["cases"])
    try:
        with table.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _no_table(table, path, error) from error
    _check_table(table, path, record, found)
    return found


def _no_table(table: Path, path: Path, error: Exception) -> DataError:
    return DataError(
        f"{table}: wanted the case table of {path.name}, found none whole ({error}); {REMEDY}"
    )


def _check_table(table: Path, path: Path, record: Mapping[str, Any], found: str) -> None:
    """DataError for another table than the record was written with."""
    expected = record.get("cases_sha256")
    if expected is not None and found != expected:
        raise DataError(f"{table}: isn't the table that {path.name} was written with; {REMEDY}")


def load_all(results: Path, phantom: bool = False) -> list[RecordJson]:
    """All records on real data, or all on phantoms, in order of their path.

    Raises DataError for a damaged file, and for one that doesn't lie where its content belongs (a copy would count
    twice, a phantom would stand among real data).
    """
    top = results / PHANTOM if phantom else results
    records = []
    for path in sorted(top.glob("*/*/*.json")):  # a phantom's lies one folder deeper
        record = load(path)
        if record_path(results, record) != path:
            raise DataError(
                f"{path}: its content belongs at {record_path(results, record)}; move or remove it"
            )
        records.append(record)
    return records


def find(
    results: Path, dataset: str, task: str, model: str, seed: int | None, key: str
) -> Path | None:
    """The record file with this key, on real data or on a phantom (the key tells them apart), or None."""
    for phantom in (False, True):
        named = {"dataset": dataset, "task": task, "model": model, "seed": seed, "run_id": key}
        path = record_path(results, {**named, "data": {"phantom": phantom}})
        if path.exists():
            return path
    return None


def named(word: str, results: Path) -> Path:
    """The record that a word names: a file, or a key of one below the results. DataError for none or several."""
    path = Path(word)
    if path.is_file():
        return path
    places = sorted(results.glob(f"*/*/*-{word}.json")) + sorted(
        results.glob(f"{PHANTOM}/*/*/*-{word}.json")
    )
    if len(word) < 4 or len(places) != 1:
        raise DataError(
            f"{word}: a record's file or its key was wanted, found {len(places)} such below {results}"
        )
    return places[0]
