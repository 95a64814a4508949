"""What a tracking store gets: names, values, a result's scores, a run's process. No MLflow."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import psutil  # type: ignore[import-untyped]

from usbench.runner.lock import is_process_alive

SCORED_PARTS = (  # (prefix, key of a result's JSON)
    ("test", "scores"),
    ("test", "per_class"),
    ("validation", "validation"),
    ("seconds", "seconds"),
)
HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]
_FOLDER = re.compile(
    r"(?<![\w.:/\\~])(?:file:/*|~[^\\/\s]*|[A-Za-z]:)?[\\/](?:[^\\/\s]+[\\/])*(?=[^\\/\s])"
)


def final_scores(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers in a result's JSON: test/dice, test/dice.low, test/<class>/dice, seconds …"""
    scores: dict[str, float] = {}
    for prefix, part in SCORED_PARTS:
        scores.update(flatten_figures(prefix, record.get(part)))
    return scores


def flatten_figures(name: str, node: object) -> Iterator[tuple[str, float]]:
    """(path, number) of each number in a result's figures."""
    if isinstance(node, int | float) and not isinstance(node, bool):
        yield name, float(node)
    elif isinstance(node, Mapping) and "value" in node:
        for end, part in (("", "value"), (".low", "low"), (".high", "high")):
            yield from flatten_figures(name + end, node.get(part))
    elif isinstance(node, Mapping):
        for key, below in node.items():
            yield from flatten_figures(f"{name}/{key}", below)


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
    started = psutil.Process().create_time()
    return {
        "usbench.host": HOST,
        "usbench.pid": str(os.getpid()),
        "usbench.started": f"{started:.2f}",
    }


def is_alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that tagged a run still runs; True where that can't be seen from here."""
    if tags.get("usbench.host") != HOST:
        return True
    try:
        return is_process_alive(int(tags["usbench.pid"]), float(tags["usbench.started"]))
    except (KeyError, ValueError):
        return True
