"""The parts of the figure's panels: the axis, a line per row, its marks, and texts."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

from usbench.io.numbers import format_decimals
from usbench.io.plain_text import escape_controls
from usbench.leaderboard.rows import Row, RowScore
from usbench.leaderboard.sentences import title_row
from usbench.results.format import format_interval, format_value

PADDING, LINE = 22, 27  # units are px at full size
RANK_X, BRACKET_X, NAME_X, PLOT_X, PLOT_END, VALUE_X = 24, 62, 72, 310, 640, 658
NAME_LETTERS = 20  # of a name
TICKS = 4  # at least so many steps between ticks
SUFFIXES = {  # how a row is drawn → what is said after its name
    "model": "",
    "older": "older version",
    "human": "",
    "published": "published",
    "baseline": "baseline",
}
KEY = {  # → (label, what it is called where the figure is narrow)
    "model": ("model", "blue: models"),
    "older": ("older version, unranked", "grey: older versions"),
    "published": ("published", "hollow: published"),
    "human": ("people", "diamond: people"),
    "baseline": ("baseline", ""),
}


@dataclass(frozen=True)
class Scale:
    """Scores → places on the axis."""

    low: float
    high: float
    step: float

    @staticmethod
    def of(rows: Iterable[Row]) -> Scale:
        """A scale with round ends that holds the rows' scores and intervals."""
        ends = [
            value
            for row in rows
            if row.score is not None and row.origin != "baseline"
            for value in (row.score.value, row.score.low, row.score.high)
            if value is not None
        ]
        low, high = min(ends), max(ends)
        spread = high - low or abs(high) or 1.0
        step = round_step(spread / TICKS)
        return Scale(math.floor(low / step) * step, math.ceil(high / step) * step, step)

    @property
    def ticks(self) -> list[float]:
        """The values of the ticks."""
        count = round((self.high - self.low) / self.step)
        return [self.low + n * self.step for n in range(count + 1)]

    def place(self, value: float) -> float:
        """Where a value lies."""
        share = (value - self.low) / (self.high - self.low or 1.0)
        return PLOT_X + share * (PLOT_END - PLOT_X)

    def text(self, tick: float) -> str:
        """A tick's value with as many digits as the step needs."""
        return format_decimals(tick, max(0, -math.floor(math.log10(self.step) + 1e-9)))


def round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that isn't below a number."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * 0.999)


# ---- parts of a panel


def draw_line(row: Row, among: Sequence[Row], scale: Scale, y: float) -> Iterator[str]:
    """A row: rank, name, interval, mark and numbers. y: its middle."""
    kind = kind_of(row)
    if row.rank is not None:
        first, last = row.rank
        yield text(RANK_X, y, str(first) if first == last else f"{first}–{last}", "rank row")
    suffix = SUFFIXES[kind]
    if kind == "published" and row.protocol == "unknown":
        suffix = "protocol unknown"
    is_best = row.rank is not None and row.rank[0] == 1
    style = {"older": "row old", "model": "row best" if is_best else "row"}.get(kind, "row")
    yield two_texts(NAME_X, y, shorten(title_row(row, among)), suffix, style)
    yield from draw_score(kind, row.score or RowScore(()), scale, y)
    value, interval = format_value(row.value, row.primary), format_interval(row.score, row.primary)
    yield two_texts(VALUE_X, y, value, interval, style)


def draw_score(kind: str, score: RowScore, scale: Scale, y: float) -> Iterator[str]:
    """A score with its interval, or an arrow where it is off the scale, as baselines may be."""
    assert score.value is not None, "only rows with a score are drawn"
    x = scale.place(score.value)
    if not PLOT_X <= x <= PLOT_END:
        x, sign = (PLOT_X, 1) if x < PLOT_X else (PLOT_END, -1)
        yield f'<path class="arrow" d="M{x} {number(y)}l{9 * sign} -5v10z"/>'
        return
    if score.low is not None and score.high is not None:
        low, high = (
            min(max(scale.place(end), PLOT_X), PLOT_END) for end in (score.low, score.high)
        )
        yield f'<path class="bar {kind}" d="M{number(low)} {number(y)}H{number(high)}"/>'
    yield draw_mark(kind, x, y)


def kind_of(row: Row) -> str:
    """How a row is drawn: model | older, or its origin."""
    if row.origin not in ("run", "external"):
        return row.origin
    is_whole = row.has_all_folds and not row.old_protocol and not row.old_version
    return "model" if is_whole else "older"


def draw_mark(kind: str, x: float, y: float) -> str:
    """A dot; a diamond for people, a bar for a baseline."""
    if kind == "human":
        return f'<path class="human" d="M{number(x)} {number(y - 6)}l6 6l-6 6l-6 -6z"/>'
    if kind == "baseline":
        return f'<path class="baseline" d="M{number(x - 1.5)} {number(y - 7)}h3v14h-3z"/>'
    return f'<circle class="{kind}" cx="{number(x)}" cy="{number(y)}" r="5.5"/>'


def draw_ties(lines: Sequence[Row], top: float) -> Iterator[str]:
    """A bracket around consecutive rows that share their places."""
    place = 0
    for rank, part in groupby(lines, key=lambda row: row.rank):
        count = len(list(part))
        if rank is not None and count > 1:
            low, high = top + LINE * place + 6, top + LINE * (place + count) - 6
            yield (f'<path class="tie" d="M{BRACKET_X - 4} {number(low)}h4V{number(high)}h-4"/>')
        place += count


def draw_warning(x: float, y: float) -> str:
    """A small triangle with an exclamation mark. y: of the text's base line."""
    return (
        f'<path class="sign" fill-rule="evenodd" d="M{number(x + 7)} {number(y - 12)}l8 14h-16z'
        'm-1 5v5h2v-5zm0 6v2h2v-2z"/>'
    )


def draw_key(y: float, kinds: Collection[str]) -> Iterator[str]:
    """What the marks of some kinds of rows mean."""
    x = float(PADDING)
    yield '<g class="wide">'
    for kind, (label, _) in KEY.items():
        if kind in kinds:
            yield draw_mark(kind, x + 6, y - 4)
            yield text(x + 18, y, label, "faint")
            x += 44 + 6.4 * len(label)
    if kinds:
        yield f'<path class="bar model" d="M{number(x)} {number(y - 4)}h24"/>'
        yield text(x + 32, y, "95 % interval of one training", "faint")
    yield "</g>"
    short = [label for kind, (_, label) in KEY.items() if kind in kinds and label]
    yield text(PADDING, y, ", ".join(short), "faint narrow")


# ---- text


def text(x: float, y: float, content: str, style: str) -> str:
    """A line of text."""
    return f'<text class="{style}" x="{number(x)}" y="{number(y)}">{clean(content)}</text>'


def two_texts(x: float, y: float, first: str, second: str, style: str) -> str:
    """A text and a faint one behind it, most where the figure is wide alone. y: the middle."""
    shown = "faint" if second == SUFFIXES["baseline"] else "faint wide"
    tail = f'<tspan class="{shown}" dx="6">{clean(second)}</tspan>' if second else ""
    return f'<text class="{style}" x="{x}" y="{number(y)}">{clean(first)}{tail}</text>'


def clean(content: str) -> str:
    """Text as XML, without control characters."""
    return escape(escape_controls(content))


def shorten(name: str) -> str:
    """A name that fits its column."""
    return name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…"


def number(value: float) -> str:
    """A coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")
