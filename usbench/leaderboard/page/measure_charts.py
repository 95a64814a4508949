"""Charts of a clinical measurement as SVG: Bland–Altman, and predicted by true values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from markupsafe import Markup

from usbench.leaderboard.page.charts import (
    LEFT,
    RIGHT,
    WIDTH,
    Scale,
    chart,
    format_tick,
    horizontal_axis,
    make_scale,
    nice_ticks,
    text,
)
from usbench.leaderboard.page.overlay import format_number

HEIGHT, TOP, BOTTOM = 250, 30, 40  # of a chart, and its margins; above and below stand the titles
TICKS = 4  # roughly, on each axis
Pair = tuple[float, float]  # (true, predicted)
Tolerance = tuple[float, bool]  # (value, whether it is in % of the true value)


def draw_agreement(
    name: str,
    unit: str,
    pairs: Sequence[Pair],
    limits: Mapping[str, float],
    tolerance: Tolerance | None,
) -> Markup:
    """A Bland–Altman plot: errors by the mean of the true and the predicted value.

    Args:
        name: of the measurement.
        unit: for people.
        pairs: of the images; one at least.
        limits: bias, loa_low and loa_high, as far as they are known.
        tolerance: dotted lines on both sides of zero; None: without.
    """
    points = [((true + predicted) / 2, predicted - true) for true, predicted in pairs]
    x_ticks = nice_ticks(*find_range(x for x, _ in points), TICKS)
    bounds = [(edge, error_bound(tolerance, edge)) for edge in (x_ticks[0], x_ticks[-1])]
    errors = [error for _, error in points]
    drawn = [*errors, *limits.values(), 0.0, *(sign * y for _, y in bounds for sign in (1, -1))]
    y_ticks = nice_ticks(*find_range(drawn), TICKS)
    x, y = make_scales(x_ticks, y_ticks)
    parts = draw_axes(x_ticks, y_ticks, f"mean of true and predicted, {unit}", f"error, {unit}")
    parts.append(level("zero", y(0)))
    parts.append(draw_points(points, x, y))
    if tolerance is not None:
        parts += [
            line("tolerance", [(x(edge), y(sign * bound)) for edge, bound in bounds])
            for sign in (1, -1)
        ]
    for key, style in (("bias", "bias"), ("loa_low", "limit"), ("loa_high", "limit")):
        if key in limits:
            place = y(limits[key])
            parts.append(level(style, place))
            parts.append(text(WIDTH - RIGHT, place - 4, format_tick(limits[key]), "end"))
    return chart(HEIGHT, f"Bland–Altman plot of {name}", parts)


def draw_scatter(name: str, unit: str, pairs: Sequence[Pair]) -> Markup:
    """Predicted by true values, with the line on which both are the same.

    Args:
        name: of the measurement.
        unit: for people.
        pairs: of the images; one at least.
    """
    ticks = nice_ticks(*find_range(value for pair in pairs for value in pair), TICKS)
    x, y = make_scales(ticks, ticks)
    parts = draw_axes(ticks, ticks, f"true, {unit}", f"predicted, {unit}")
    parts.append(line("zero", [(x(end), y(end)) for end in (ticks[0], ticks[-1])]))
    parts.append(draw_points(pairs, x, y))
    return chart(HEIGHT, f"Predicted by true {name}", parts)


# ---- parts


def find_range(values: Iterable[float]) -> tuple[float, float]:
    """The smallest and the largest value."""
    known = list(values)
    return min(known), max(known)


def error_bound(tolerance: Tolerance | None, true: float) -> float:
    """The largest error within the tolerance, at a true value; 0 without a tolerance."""
    if tolerance is None:
        return 0.0
    value, is_percent = tolerance
    return value * true / 100 if is_percent else value


def make_scales(x_ticks: Sequence[float], y_ticks: Sequence[float]) -> tuple[Scale, Scale]:
    """The scales of a chart whose axes end at their outer ticks."""
    return (
        make_scale((x_ticks[0], x_ticks[-1]), (LEFT, WIDTH - RIGHT)),
        make_scale((y_ticks[0], y_ticks[-1]), (HEIGHT - BOTTOM, TOP)),
    )


def draw_axes(
    x_ticks: Sequence[float], y_ticks: Sequence[float], x_title: str, y_title: str
) -> list[Markup]:
    """Both axes with their ticks and titles."""
    x, y = make_scales(x_ticks, y_ticks)
    parts = [horizontal_axis(y_ticks, y, format_tick)]
    for tick in x_ticks:
        anchor = "end" if tick == x_ticks[-1] else "middle"
        parts.append(text(x(tick), HEIGHT - BOTTOM + 16, format_tick(tick), anchor))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_title, "middle"))
    parts.append(text(0, 11, f"↑ {y_title}", "start"))
    return parts


def draw_points(points: Iterable[tuple[float, float]], x: Scale, y: Scale) -> Markup:
    """A dot for each point, all in one path: a line of no length has round ends."""
    place: Callable[[float], str] = format_number
    dots = "".join(f"M{place(x(across))} {place(y(up))}h0" for across, up in points)
    return Markup('<path class="points" d="{}"/>').format(dots)


def level(style: str, y: float) -> Markup:
    """A horizontal line across the chart."""
    return line(style, [(LEFT, y), (WIDTH - RIGHT, y)])


def line(style: str, places: Sequence[tuple[float, float]]) -> Markup:
    """A line through places of the chart."""
    through = " ".join(f"{format_number(x)} {format_number(y)}" for x, y in places)
    return Markup('<path class="{}" d="M{}"/>').format(style, through)
