"""HTML from plain values: escaped text, tables, lists of facts, texts to copy. Nothing of a record is ever markup."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from usbench.leaderboard.markdown import shown
from usbench.leaderboard.page.document import escaped

NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "map50_95": "mAP50-95",
    "map50": "mAP50",
    "map75": "mAP75",
    "ar100": "AR100",
    "mre_px": "mean radial error, px",
    "mre_mm": "mean radial error, mm",
    "nsd": "surface Dice",
    "hd95_px": "HD95, px",
}
Figures = Mapping[str, Mapping[str, Any]]


def safe(value: object) -> str:
    """Anything as text that HTML shows as it is, in an attribute too."""
    return escaped(str(value))


def name_of(score: str) -> str:
    """A score's name for people; one that has no other keeps its own."""
    return NAMES.get(score, score)


def value_of(figures: Figures, score: str) -> str:
    """A figure, – where it is undefined or isn't there."""
    return shown(figures.get(score, {}).get("value"), score)


def bounds_of(figures: Figures, score: str) -> str:
    """Its 95 % interval, nothing where there is none."""
    low, high = (figures.get(score, {}).get(end) for end in ("low", "high"))
    return "" if low is None or high is None else f"[{shown(low, score)}, {shown(high, score)}]"


def both(figures: Figures, score: str) -> str:
    """The figure with its interval."""
    return f"{value_of(figures, score)} {bounds_of(figures, score)}".rstrip()


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1
) -> str:
    """A table of texts in a box that scrolls sideways; the first column heads its row, those after `words` are
    figures."""
    kinds = ["" if n < words else ' class="number"' for n in range(len(header))]
    head = "".join(
        f'<th scope="col"{kind}>{safe(name)}</th>' for name, kind in zip(header, kinds, strict=True)
    )
    lines = []
    for first, *others in rows:
        cells = "".join(
            f"<td{kind}>{safe(text)}</td>" for text, kind in zip(others, kinds[1:], strict=True)
        )
        lines.append(f'<tr><th scope="row">{safe(first)}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{safe(caption)}"><table class="plain">'
        f"<caption>{safe(caption)}</caption><thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and what they are; what isn't known is left out."""
    told = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
    return (
        '<dl class="facts">'
        + "".join(f"<dt>{safe(name)}</dt><dd>{safe(plain(value))}</dd>" for name, value in told)
        + "</dl>"
    )


def flat(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, object]]:
    """A nested mapping as (a.b.c, value)."""
    for name, part in value.items():
        if isinstance(part, Mapping) and part:
            yield from flat(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "none" if part is None else part


def plain(value: object) -> str:
    """A value of a configuration as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and not any(
        isinstance(part, (list, tuple, Mapping)) for part in value
    ):
        return ", ".join(plain(part) for part in value)
    return json.dumps(value, ensure_ascii=False)


def details(summary: str, content: str) -> str:
    """What is there when asked for."""
    return f"<details><summary>{safe(summary)}</summary>{content}</details>"


def copyable(text: str) -> str:
    """A command with its button; page.js copies it."""
    return f'<div class="copy"><code>{safe(text)}</code><button type="button">Copy</button></div>'


def note(text: str, kind: str = "") -> str:
    """A line that must not be overlooked."""
    return (
        f'<div class="note {kind}"><p>{safe(text)}</p></div>'
        if kind
        else f'<div class="note"><p>{safe(text)}</p></div>'
    )


def card(title: str, content: str, name: str) -> str:
    """A section of the page; name: its anchor."""
    return f'<section class="card" aria-labelledby="{name}"><h2 id="{name}">{safe(title)}</h2>\n{content}</section>'
