"""Results on disk: one JSON file per result, checked by schema.py, and its case table beside it.

    results/<dataset>/<task>/<model>-s<seed>-<run id>.json            a result on real data
    results/<dataset>/<task>/<model>-s<seed>-<run id>.cases.csv.gz    one row per case and class
    results/<dataset>/<task>/<model>-s<seed>-<run id>.predictions.json.gz    see kept_predictions.py
    results/phantom/<dataset>/<task>/…                                results on phantoms, apart

Files are written beside their place and then moved there, so that a reader sees the old file or
the new one, never a part. This module knows files and JSON, no torch and no Hydra.
"""

from __future__ import annotations

import csv
import gc
import glob
import gzip
import hashlib
import io
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from usbench.errors import DataError, RunError
from usbench.io.files import write_all
from usbench.io.plain_text import quote_cell, unquote_cell
from usbench.metrics.scores import Cell, TableRow
from usbench.results.result import Result
from usbench.results.schema import fault, schema

Case = Mapping[str, Cell]  # one row of a case table: column → value
CASES = ".cases.csv.gz"
PREDICTIONS = ".predictions.json.gz"
PHANTOM = "phantom"  # the folder of results on phantoms
# Endings of scores that are distances, or errors of measurements.
DISTANCES = ("_px", "_mm", "_diag", "_nme", "_px2", "_mm2", "_deg", "_pct")
REMEDY = "restore it from version control, or remove it and run again"


def lower_is_better(score: str) -> bool:
    """Whether a score is a distance or error; a surface Dice within so many mm (nsd_mm) isn't."""
    return score.partition(":")[0].endswith(DISTANCES) and not score.startswith("nsd")


# ---- where results lie


def result_path(folder: Path, result: Result) -> Path:
    """Where a result belongs below the results folder."""
    top = folder / PHANTOM if result.data.phantom else folder
    return path_for(top, result.dataset, result.task, result.model, result.seed, result.run_id)


def path_for(
    folder: Path, dataset: str, task: str, model: str, seed: int | None, run_id: str
) -> Path:
    """The file of a result by its parts; without a seed the name has no `-s<seed>`."""
    suffix = "" if seed is None else f"-s{seed}"
    return folder / dataset / task / f"{model}{suffix}-{run_id}.json"


def find_result_file(
    folder: Path, dataset: str, task: str, model: str, seed: int | None, run_id: str
) -> Path | None:
    """The file of the result with this run id, on real data or on a phantom, or None."""
    tops = (folder, folder / PHANTOM)
    paths = [path_for(top, dataset, task, model, seed, run_id) for top in tops]
    return next(filter(Path.exists, paths), None)


def resolve_result(word: str, folder: Path) -> Path:
    """The result file that a word names.

    Args:
        word: a path, or a file's name or a run id (or its end) below the folder; `.json` may be
            left out.
        folder: of results.

    Raises:
        DataError: no result has that name or run id, or several have.
    """
    stem = word.removesuffix(".json")
    for path in (Path(word), Path(f"{stem}.json")):
        if path.is_file():
            return path
    pattern = f"*/*/*{glob.escape(stem)}.json"
    matches = [*folder.glob(pattern), *folder.glob(f"{PHANTOM}/{pattern}")]
    if len(stem) < 4 or len(matches) != 1:
        advice = "write more of it" if matches else "a run that was refused at its start has none"
        raise DataError(
            f"{word}: expected a result file or a run id, got {len(matches)} results of that "
            f"name below {folder}; {advice}"
        )
    return matches[0]


# ---- reading and writing results


def load_result(path: Path) -> Result:
    """Read one result.

    Raises:
        DataError: the file is damaged or breaks the schema; the message names file and key.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: expected a result as JSON, got a damaged file ({error}); {REMEDY}"
        ) from error
    wrong = fault(content)
    if wrong is not None:
        raise DataError(f"{path}: {wrong}; {REMEDY}")
    return Result.from_json(content)


def load_finished(path: Path) -> Result:
    """Read the result of a finished run.

    Raises:
        DataError: as `load_result`, or the run failed or was skipped.
    """
    result = load_result(path)
    if not result.is_done:
        ending = "was skipped" if result.status == "skipped" else result.status
        raise DataError(f"{path}: expected a finished run, got one that {ending}: {result.reason}")
    return result


def load_results(
    folder: Path, phantom: bool = False, dataset: str = "", task: str = ""
) -> list[Result]:
    """All results on real data, or all on phantoms, in order of their path.

    Args:
        folder: of results.
        phantom: whether to load those on phantoms.
        dataset: only its results; "": those of all datasets.
        task: only its results; "": those of all tasks.

    Raises:
        DataError: a file is damaged, or doesn't lie where its content belongs (a copy would
            count twice, a phantom's result would stand among real data).
    """
    top = folder / PHANTOM if phantom else folder
    pattern = f"{glob.escape(dataset) or '*'}/{glob.escape(task) or '*'}/*.json"
    results = []
    # Results are many small values without reference cycles. Looking for cycles again and again
    # while their number grows would take a third of the time.
    collects_garbage = gc.isenabled()
    gc.disable()
    try:
        for path in sorted(top.glob(pattern)):  # a phantom's lies one folder deeper
            result = load_result(path)
            place = result_path(folder, result)
            if place != path:
                raise DataError(f"{path}: its content belongs at {place}; move or remove it")
            results.append(result)
    finally:
        if collects_garbage:
            gc.enable()
    return results


def save_result(
    folder: Path,
    result: Result,
    cases: Sequence[Case] | None = None,
    predictions: bytes | None = None,
) -> Path:
    """Write a result and its case table (the table first); return the result's path.

    `cases` and `cases_sha256` are filled in. Without cases, a table that the result names and
    that is there is kept. A result that isn't done never replaces one that is: then nothing is
    written. predictions: to keep beside it (see kept_predictions.py); None: what is there stays.

    Raises:
        RunError: the result breaks the schema or can't be written.
        DataError: the result in its place is damaged and this one isn't done.
    """
    path = checked_path(folder, result)
    if not result.is_done and path.exists() and load_result(path).is_done:
        return path
    table = table_path(path)
    files = files_of_result(path, result, cases, predictions)
    write_all(files)
    if table not in files and result.cases != table.name:
        table.unlink(missing_ok=True)
    return path


def checked_path(folder: Path, result: Result) -> Path:
    """Where a result belongs; RunError where it breaks the schema."""
    wrong = fault(result.to_json())
    if wrong is not None:
        raise RunError(f"result of {result.model} on {result.dataset} not saved: {wrong}")
    return result_path(folder, result)


def files_of_result(
    path: Path, result: Result, cases: Sequence[Case] | None, predictions: bytes | None = None
) -> dict[Path, bytes]:
    """The files of a result: predictions to keep, its case table, and last the result itself."""
    files = {} if predictions is None else {kept_path(path): predictions}
    table = table_path(path)
    if cases:
        packed = encode_cases(cases)
        result = replace(result, cases=table.name, cases_sha256=hashlib.sha256(packed).hexdigest())
        files[table] = packed
    elif result.cases != table.name or not table.exists():
        result = replace(result, cases=None, cases_sha256=None)
    return {**files, path: encode_result(result)}


def encode_result(result: Result) -> bytes:
    """The result as JSON text: the schema's keys in its order, then any others by name."""
    content = result.to_json()
    order = [*schema()["properties"], *sorted(content)]
    ordered = {name: content[name] for name in order if name in content}
    return (json.dumps(ordered, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode(
        errors="backslashreplace"
    )


def kept_path(path: Path) -> Path:
    """The test predictions that are kept beside a result."""
    return path.with_name(path.stem + PREDICTIONS)


# ---- case tables


def table_path(path: Path) -> Path:
    """The case table beside a result."""
    return path.with_name(path.stem + CASES)


def encode_cell(value: object, column: str) -> str:
    """A cell of the table: "" for null, 1 or 0 for a bool, nine digits (as float32) for a float.

    Text that a spreadsheet would compute is quoted, which `read_cases` undoes.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return quote_cell(value)
    plain = value.item() if hasattr(value, "item") else value  # a NumPy scalar
    if isinstance(plain, float):
        if not math.isfinite(plain):
            raise RunError(
                f"case table, column {column}: expected a finite number or null, got {plain}"
            )
        return f"{plain + 0.0:.9g}"  # + 0.0: no "-0"
    return str(int(plain)) if isinstance(plain, bool) else str(plain)


def encode_cases(cases: Sequence[Case]) -> bytes:
    """The case table as gzipped CSV. Equal cases give equal bytes."""
    columns = list(dict.fromkeys(name for case in cases for name in case))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(columns)
    for case in cases:
        rows.writerow([encode_cell(case.get(name), name) for name in columns])
    return pack_text(text.getvalue())


def pack_text(text: str) -> bytes:
    """Gzip a text; equal texts give equal bytes, because the header has no time."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(text.encode())
    return packed.getvalue()


def hash_case_ids(cases: Iterable[Case], redistribute: str | None, dataset: str) -> list[TableRow]:
    """The cases, with hashed `case` and `group` unless labels or images may be redistributed.

    The hash is sha256(dataset + id), 12 hex digits.
    """
    rows = list(map(dict, cases))
    if redistribute not in ("labels", "images"):
        for row in rows:
            for name in ("case", "group"):
                if row.get(name) is not None:
                    row[name] = hashlib.sha256(f"{dataset}{row[name]}".encode()).hexdigest()[:12]
    return rows


def ids_in_table(ids: Iterable[str], result: Result) -> set[Cell]:
    """Record ids as a result's case table has them, hashed where nothing may be redistributed."""
    dataset = result.config.get("dataset") or {}
    cases = [{"case": name} for name in ids]
    return {
        row["case"] for row in hash_case_ids(cases, dataset.get("redistribute"), result.dataset)
    }


def load_cases(path: Path) -> list[dict[str, str]]:
    """The case table of a result, given the result's path; [] where it has none.

    Raises:
        DataError: the table is missing, damaged, or not the one the result was written with.
    """
    return read_cases(path, load_result(path))


def read_cases(path: Path, result: Result) -> list[dict[str, str]]:
    """The case table of a result that is already loaded; see `load_cases`."""
    if result.cases is None:
        return []
    packed = read_table(path, result)
    try:
        text = gzip.decompress(packed).decode()
        header, *lines = list(csv.reader(io.StringIO(text))) or [[]]
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise damaged_table(path, result, error) from error
    if "'" in text:
        lines = [list(map(unquote_cell, line)) for line in lines]
    try:
        return [dict(zip(header, line, strict=True)) for line in lines]
    except ValueError as error:
        raise damaged_table(path, result, ValueError("rows of unequal length")) from error


def hash_cases(path: Path, result: Result) -> str:
    """sha256 of the case table's file, which isn't unpacked. The result must name a table.

    Raises:
        DataError: as `load_cases`.
    """
    packed = read_table(path, result)
    return result.cases_sha256 or hashlib.sha256(packed).hexdigest()


def read_table(path: Path, result: Result) -> bytes:
    """The packed case table; DataError where it isn't the one the result was written with."""
    table = path.with_name(str(result.cases))
    try:
        packed = table.read_bytes()
    except OSError as error:
        raise damaged_table(path, result, error) from error
    if result.cases_sha256 not in (None, hashlib.sha256(packed).hexdigest()):
        raise DataError(f"{table}: isn't the table that {path.name} was written with; {REMEDY}")
    return packed


def damaged_table(path: Path, result: Result, error: Exception) -> DataError:
    """The error for a case table that is missing or can't be read."""
    return DataError(
        f"{path.with_name(str(result.cases))}: expected the case table of {path.name}, "
        f"got no whole file ({error}); {REMEDY}"
    )
