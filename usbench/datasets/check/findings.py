"""What a check of a release finds: one line each, and how grave it is."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from usbench.errors import UsbenchError, in_one_line

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One line about a release.

    An error: a run would stop or mislead. A warning: to be known when scores are read. A note:
    counted, expected.
    """

    level: Level
    kind: str  # unreadable image, label, split, identical, leak …
    text: str  # file or id (relative to the root), expected, got


def finding_of_error(kind: str, error: Exception, root: Path, level: Level = "error") -> Finding:
    """An error of ours as a finding, its paths relative to the root."""
    return Finding(level, kind, str(error).replace(f"{root}/", "").replace(str(root), root.name))


def finding_of_failure(kind: str, error: Exception, root: Path) -> Finding:
    """Whatever a layout raised as a finding; of an error that isn't ours also where."""
    if isinstance(error, UsbenchError):
        return finding_of_error(kind, error, root)
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}, line {last.lineno}"
    text = f"{type(error).__name__}: {in_one_line(error)} ({place})"
    return Finding("error", kind, text.replace(f"{root}/", ""))


def format_findings(findings: Sequence[Finding], most: int) -> list[str]:
    """The lines of at most so many findings of one level and kind, and how many more there are."""
    heads = [f"{finding.level}: {finding.kind}" for finding in findings]
    totals = Counter(heads)
    seen: Counter[str] = Counter()
    lines: list[str] = []
    for head, finding in zip(heads, findings, strict=True):
        seen[head] += 1
        if seen[head] <= most:
            lines.append(f"{head}: {finding.text}")
        elif seen[head] == most + 1:
            lines.append(f"{head}: … and {totals[head] - most} more (--json FILE has all)")
    return lines
