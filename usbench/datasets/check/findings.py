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
    """One line about a release.

    An error: a run would stop or mislead. A warning: to be known when scores are read. A note:
    counted, expected.
    """

    level: Level
    kind: str  # unreadable image, label, split, identical, leak …
    text: str  # file or id (relative to the root), expected, got

    @property
    def line(self) -> str:
        """How it is shown."""
        return f"{self.level}: {self.kind}: {self.text}"


def finding_of_error(kind: str, wrong: Exception, root: Path, level: Level = "error") -> Finding:
    """An error of ours as a finding, its paths relative to the root."""
    return Finding(level, kind, str(wrong).replace(f"{root}/", "").replace(str(root), root.name))


def format_findings(findings: Iterable[Finding], most: int) -> list[str]:
    """The lines of at most so many findings of one level and kind, and how many more there are."""
    all_findings = list(findings)
    totals = Counter((finding.level, finding.kind) for finding in all_findings)
    seen: Counter[tuple[str, str]] = Counter()
    lines: list[str] = []
    for finding in all_findings:
        key = finding.level, finding.kind
        seen[key] += 1
        if seen[key] <= most:
            lines.append(finding.line)
        elif seen[key] == most + 1:
            more = f"… and {totals[key] - most} more (--json FILE has all)"
            lines.append(f"{finding.level}: {finding.kind}: {more}")
    return lines
