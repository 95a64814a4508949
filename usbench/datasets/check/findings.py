"""What a check of a release finds: one line each, and how grave it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """error: a run would stop or mislead.

    Warning: to be known when figures are read; note: counted, expected.
    """

    level: Level
    kind: str  # unreadable image, label, split, identical, leak …
    text: str  # file or id (relative to the root), expected, got

    @property
    def line(self) -> str:
        """As it is shown."""
        return f"{self.level}: {self.kind}: {self.text}"


def finding_of_error(kind: str, wrong: Exception, root: Path, level: Level = "error") -> Finding:
    """An error of ours as a finding, its paths relative to the root (which is named as its folder)."""
    return Finding(level, kind, str(wrong).replace(f"{root}/", "").replace(str(root), root.name))


def format_findings(findings: Iterable[Finding], most: int) -> list[str]:
    """The lines, at most so many of one level and kind, then how many more there are."""
    found = list(findings)
    numbers: Counter[tuple[str, str]] = Counter()
    lines: list[str] = []
    left = Counter((one.level, one.kind) for one in found)
    for one in found:
        key = one.level, one.kind
        numbers[key] += 1
        if numbers[key] <= most:
            lines.append(one.line)
        elif numbers[key] == most + 1:
            lines.append(
                f"{one.level}: {one.kind}: … and {left[key] - most} more (--json FILE has all)"
            )
    return lines
