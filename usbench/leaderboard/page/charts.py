"""Charts of a result's page as SVG: a training curve, and a histogram. They need no script."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from usbench.leaderboard.page.overlay import format_number, plain

WIDTH = 340  # of a chart, in its own units; result.css sets how large they are
CURVE, BARS = 170, 84  # heights
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 16, 22  # margins of the plane that is drawn in
Scale = Callable[[float], float]  # a value → its place in the chart


def draw_curve(name: str, points: Sequence[Sequence[float]], chosen: float | None) -> Markup:
    """A training curve.

    Args:
        name: of the figure.
        points: (epoch, value), ascending.
        chosen: the epoch whose weights were kept, which is marked; None: unknown.
    """
    epochs, values = [point[0] for point in points], [point[1] for point in points]
    ticks = nice_ticks(min(values), max(values), 4)
    x = make_scale((epochs[0], epochs[-1]), (LEFT, WIDTH - RIGHT))
    y = make_scale((ticks[0], ticks[-1]), (CURVE - BOTTOM, TOP))
    parts = [horizontal_axis(ticks, y, format_tick)]
    for epoch in epoch_ticks(epochs[0], epochs[-1]):
        parts.append(text(x(epoch), CURVE - 7, f"{epoch:g}", "middle"))
    places = [f"{format_number(x(epoch))} {format_number(y(value))}" for epoch, value in points]
    parts.append(Markup('<path class="curve" d="M{}"/>').format(" ".join(places)))
    if len(points) == 1:
        parts.append(dot(x(epochs[0]), y(values[0])))
    if chosen is not None:
        parts.append(mark_epoch(x(chosen), f"epoch {chosen:g} chosen"))
        parts += [dot(x(chosen), y(value)) for epoch, value in points if epoch == chosen]
    return chart(CURVE, f"{name} by epoch", parts)


def draw_histogram(name: str, edges: Sequence[float], counts: Sequence[int]) -> Markup:
    """A histogram.

    Args:
        name: what is counted.
        edges: (N + 1,) of the bins, ascending.
        counts: (N,) of images.
    """
    top = max(1, *counts)
    x = make_scale((edges[0], edges[-1]), (LEFT, WIDTH - RIGHT))
    y = make_scale((0, top), (BARS - BOTTOM, TOP))
    parts = [horizontal_axis((0, top), y, format_tick)]
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        if count:
            bar = (x(low) + 0.5, y(count), max(1, x(high) - x(low) - 1), y(0) - y(count))
            parts.append(
                Markup('<rect class="bar" x="{}" y="{}" width="{}" height="{}"/>').format(
                    *map(format_number, bar)
                )
            )
    for edge in (edges[0], edges[len(edges) // 2], edges[-1]):
        anchor = "end" if edge == edges[-1] else "middle"
        parts.append(text(x(edge), BARS - 7, format_tick(edge), anchor))
    return chart(BARS, name, parts)


# ---- parts


def chart(height: float, name: str, parts: Sequence[Markup]) -> Markup:
    """An SVG with its name for screen readers."""
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, height, plain(name), Markup().join(parts))


def horizontal_axis(ticks: Sequence[float], y: Scale, label: Callable[[float], str]) -> Markup:
    """A line across the chart at each tick, and its value on the left."""
    parts = []
    for tick in ticks:
        place = format_number(y(tick))
        parts.append(
            Markup('<path class="line" d="M{} {}H{}"/>').format(LEFT, place, WIDTH - RIGHT)
        )
        parts.append(text(LEFT - 6, y(tick) + 4, label(tick), "end"))
    return Markup().join(parts)


def mark_epoch(x: float, label: str) -> Markup:
    """A vertical line with its meaning at its upper end, on the side that has room."""
    is_right = x > WIDTH / 2
    return Markup('<path class="mark" d="M{} {}V{}"/>{}').format(
        format_number(x),
        TOP - 4,
        CURVE - BOTTOM,
        text(x + (-5 if is_right else 5), TOP - 5, label, "end" if is_right else "start"),
    )


def dot(x: float, y: float) -> Markup:
    """A point of a curve."""
    return Markup('<circle class="dot" cx="{}" cy="{}" r="3.5"/>').format(
        format_number(x), format_number(y)
    )


def text(x: float, y: float, content: str, anchor: str) -> Markup:
    """A text; anchor: start, middle or end."""
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
        format_number(x), format_number(y), anchor, plain(content)
    )


# ---- scales


def make_scale(values: tuple[float, float], places: tuple[float, float]) -> Scale:
    """A linear scale; one value alone lies in the middle."""
    (low, high), (start, end) = values, places
    if low == high:
        return lambda _: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """At most most + 2 round numbers at equal distances that enclose a range."""
    if low == high:
        low, high = low - (abs(low) / 2 or 1), high + (abs(high) / 2 or 1)
    step = nice_step((high - low) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def nice_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that isn't less."""
    power = 10.0 ** math.floor(math.log10(least))
    return float(next(size * power for size in (1, 2, 5, 10) if size * power >= least * 0.999))


def epoch_ticks(first: float, last: float) -> list[float]:
    """The first epoch, the last, and round ones between them that have room."""
    if first == last:
        return [first]
    step = max(1, nice_step((last - first) / 5))
    room = step * 0.6
    inner = [n * step for n in range(1, int(last / step) + 1)]
    return [first, *(n for n in inner if first + room < n < last - room), last]


def format_tick(value: float) -> str:
    """A number beside an axis."""
    return f"{value:.4g}".replace("-", "−")
