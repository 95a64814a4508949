"""What a store is told: names and values as it takes them, a record's figures, a run's process. It knows no MLflow."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import psutil  # type: ignore[import-untyped]

from usbench.io import processes

HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]
_FOLDER = re.compile(
    r"(?<![\w.:/\\~])(?:file:/*|~[^\\/\s]*|[A-Za-z]:)?[\\/](?:[^\\/\s]+[\\/])*(?=[^\\/\s])"
)


def final_scores(record: Mapping[str, Any]) -> dict[str, float]:
    """A record's figures: test/dice with .low and .high, test/<class>/dice, validation/…, seconds; no nulls."""
    parts = (
        ("test", "scores"),
        ("test", "per_class"),
        ("validation", "validation"),
        ("seconds", "seconds"),
    )
    return {
        name: value for prefix, part in parts for name, value in _figures(prefix, record.get(part))
    }


def _figures(name: str, node: object) -> Iterator[tuple[str, float]]:
    if isinstance(node, int | float) and not isinstance(node, bool):
        yield name, float(node)
    elif isinstance(node, Mapping) and "value" in node:
        for end, part in (("", "value"), (".low", "low"), (".high", "high")):
            yield from _figures(name + end, node.get(part))
    elif isinstance(node, Mapping):
        for key, below in node.items():
            yield from _figures(f"{name}/{key}", below)


def valid(name: str) -> str:
    """ASCII letters, digits and `_ - . : /` only, no empty or dotted folder; leaves room for `.nonfinite`."""
    parts = re.sub(r"[^A-Za-z0-9_\-.:/]", "_", name).split("/")
    return "/".join(part for part in parts if part.strip("."))[:240].rstrip("/") or "_"


def short(value: object) -> str:
    """A text of at most 500 characters; of an absolute path in it, the last part only, of the home folder `~`."""
    text, home = str(value), os.environ.get("HOME", "").rstrip("/")
    return _FOLDER.sub("", text.replace(home, "~") if home else text)[:500]


def one_line(text: str) -> str:
    """One line of at most 400 characters, without the passwords of addresses."""
    line = re.sub(r"//[^/\s]*@", "//***@", " ".join(text.split()))
    return re.sub(r"(?i)(password=)[^&\s]+", r"\1***", line)[:400]


def process_tags() -> dict[str, str]:
    """This process, for `alive`."""
    started = psutil.Process().create_time()
    return {
        "usbench.host": HOST,
        "usbench.pid": str(os.getpid()),
        "usbench.started": f"{started:.2f}",
    }


def alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that tagged a run still runs; True where that can't be told: another host's, other tags."""
    if tags.get("usbench.host") != HOST:
        return True
    try:
        return processes.alive(int(tags["usbench.pid"]), float(tags["usbench.started"]))
    except (KeyError, ValueError):
        return True
