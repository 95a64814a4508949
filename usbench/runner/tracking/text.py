"""What a tracking store gets: names, values, a result's scores, a run's process. No MLflow."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Mapping

import psutil  # type: ignore[import-untyped]

from usbench.results.result import Result
from usbench.runner.lock import is_process_alive

HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]
_FOLDER = re.compile(
    r"(?<![\w.:/\\~])(?:file:/*|~[^\\/\s]*|[A-Za-z]:)?[\\/](?:[^\\/\s]+[\\/])*(?=[^\\/\s])"
)


def final_scores(result: Result) -> dict[str, float]:
    """A finished result's numbers: test/dice, test/dice.low, test/<class>/dice, seconds/fit …"""
    numbers: dict[str, float | None] = {}
    tables = {"test": result.scores}
    tables |= {f"test/{label}": part for label, part in result.protocol.per_class.items()}
    for table, figures in tables.items():
        for name, figure in figures.items():
            path = f"{table}/{name}"
            numbers |= {path: figure.value, f"{path}.low": figure.low, f"{path}.high": figure.high}
    if result.validation:
        numbers["validation"] = result.validation.value
    numbers |= {f"seconds/{stage}": value for stage, value in (result.seconds or {}).items()}
    return {name: float(value) for name, value in numbers.items() if value is not None}


def valid_name(name: str) -> str:
    """A name that MLflow takes: ASCII letters, digits, `_ - . : /`, no empty or dotted folder."""
    parts = re.sub(r"[^A-Za-z0-9_\-.:/]", "_", name).split("/")
    path = "/".join(part for part in parts if part.strip("."))
    return path[:240].rstrip("/") or "_"  # leaves room for .nonfinite


def shorten(value: object) -> str:
    """At most 500 characters, absolute paths cut to their last part, the home folder as `~`."""
    text, home = str(value), os.environ.get("HOME", "").rstrip("/")
    return _FOLDER.sub("", text.replace(home, "~") if home else text)[:500]


def one_line(text: str) -> str:
    """One line of at most 400 characters, without the passwords of addresses."""
    line = re.sub(r"//[^/\s]*@", "//***@", " ".join(text.split()))
    return re.sub(r"(?i)(password=)[^&\s]+", r"\1***", line)[:400]


def process_tags() -> dict[str, str]:
    """This process, for `is_alive`."""
    return {
        "usbench.host": HOST,
        "usbench.pid": str(os.getpid()),
        "usbench.started": f"{psutil.Process().create_time():.2f}",
    }


def is_alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that tagged a run still runs; True where that can't be seen from here."""
    if tags.get("usbench.host") != HOST:
        return True
    try:
        return is_process_alive(int(tags["usbench.pid"]), float(tags["usbench.started"]))
    except (KeyError, ValueError):
        return True
