"""results/leaderboard.svg: what the leaderboard says, drawn for a README, in light and in dark.

A panel for each dataset and task with results of ours: the finding, then a line per model with its
score and 95 % interval. Where the figure is shown narrow, as on a phone, its texts are larger and
the intervals' numbers are left out, by a media query: an image's width is its own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from usbench.leaderboard.figure_marks import (
    LINE,
    PADDING,
    Scale,
    clean,
    draw_key,
    draw_line,
    draw_ties,
    draw_warning,
    kind_of,
    number,
    text,
)
from usbench.leaderboard.findings import Finding, best_published
from usbench.leaderboard.rows import Row
from usbench.results.format import title_and_unit

WIDTH, MARGIN = 830, 1  # units are px at full size
HEADLINE_LINE, CAVEAT_LINE, AXIS, GAP = 24, 21, 34, 14
MOST_PANELS, MOST_MODELS, MOST_PUBLISHED = 8, 7, 2
MOST_LETTERS = 66  # of a line of a headline
COLOURS = {  # of GitHub's own pages
    "light": {
        "card": "#ffffff",
        "border": "#d1d9e0",
        "text": "#1f2328",
        "muted": "#59636e",
        "grid": "#e4e8ec",
        "accent": "#0969da",
        "older": "#818b98",
        "warn": "#9a6700",
    },
    "dark": {
        "card": "#0d1117",
        "border": "#3d444d",
        "text": "#f0f6fc",
        "muted": "#9198a1",
        "grid": "#262c36",
        "accent": "#4493f8",
        "older": "#7d8590",
        "warn": "#d29922",
    },
}
STYLE = """
text{{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-size:13px;fill:{text};font-variant-numeric:tabular-nums}}
.card{{fill:{card};stroke:{border}}}
.where,.note,.tick,.rank,.faint{{fill:{muted};font-size:12px}}
.where{{font-size:13px}}
.head{{font-size:17px;font-weight:600}}
.warn{{fill:{warn};font-size:12.5px}}
.best{{font-weight:600}}
.faint{{font-weight:400}}
.old{{fill:{muted}}}
.row{{dominant-baseline:central}}
.narrow{{display:none}}
.end{{text-anchor:end}}
.mid{{text-anchor:middle}}
.grid{{stroke:{grid}}}
.tie{{fill:none;stroke:{muted};stroke-width:1.5}}
.model{{fill:{accent};stroke:{accent}}}
.older{{fill:{older};stroke:{older}}}
.human{{fill:{text};stroke:{text}}}
.baseline{{fill:{muted};stroke:{muted}}}
.published{{fill:{card};stroke:{text};stroke-width:1.5}}
.bar{{stroke-width:2.5;stroke-linecap:round}}
.arrow{{fill:{muted}}}
.sign{{fill:{warn}}}
@media (max-width:560px){{
text{{font-size:21px}}
.where{{font-size:18px}}
.head{{font-size:22px}}
.warn,.rank,.faint{{font-size:18px}}
.tick{{font-size:17px}}
.wide{{display:none}}
.narrow{{display:inline}}
.bar{{stroke-width:4}}
}}
"""


def draw_figure(findings: Iterable[Finding], rows: Iterable[Row], theme: str) -> bytes:
    """The figure as SVG; the same arguments give the same bytes.

    Args:
        findings: of the leaderboard, in its order.
        rows: of the leaderboard, in its order.
        theme: light | dark.
    """
    by_task: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_task.setdefault((row.dataset, row.task), []).append(row)
    with_results = [finding for finding in findings if finding.has_results]
    top = float(MARGIN)
    drawn: list[str] = []
    kinds: set[str] = set()
    for finding in with_results[:MOST_PANELS]:
        panel = Panel(finding, by_task[finding.dataset, finding.task])
        drawn += panel.draw(top)
        kinds |= set(map(kind_of, panel.lines))
        top += panel.height + GAP
    more = len(with_results) - MOST_PANELS
    if more > 0:
        drawn.append(text(PADDING, top + 10, f"and {more} more on the leaderboard", "faint"))
    if not with_results:
        drawn.append(text(PADDING, top + 16, "No result yet.", "head"))
    drawn += draw_key(top + 14, kinds)
    sentences = [f"{finding.title}: {finding.headline}." for finding in with_results]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {number(top + 32)}" '
            f'width="{WIDTH}" height="{number(top + 32)}" role="img" aria-labelledby="t d">',
            '<title id="t">The leaderboard: scores of models with 95 % intervals</title>',
            f'<desc id="d">{clean(" ".join(sentences) or "No result yet.")}</desc>',
            f"<style>{STYLE.format(**COLOURS[theme])}</style>",
            *drawn,
            "</svg>\n",
        ]
    ).encode()


# ---- a panel


@dataclass(frozen=True)
class Panel:
    """One dataset and task. rows: all that there are of it."""

    finding: Finding
    rows: Sequence[Row]

    @property
    def table(self) -> list[Row]:
        """The rows of the finding's table."""
        return [row for row in self.rows if row.table == self.finding.rows[0].table]

    @property
    def models(self) -> list[Row]:
        """The lines: models, the ranked ones first by rank."""
        models = [row for row in self.table if row.origin in ("run", "external")]
        return sorted(models, key=lambda row: row.rank or (len(models) + 1, 0))

    @property
    def lines(self) -> list[Row]:
        """The rows that are drawn as a line each: models, people, papers, the best baseline."""
        people = [row for row in self.table if row.origin == "human"]
        published = [row for row in best_published(self.rows) if row.primary == self.score]
        baselines = [row for row in self.table if row.origin == "baseline"]
        shown = [*self.models[:MOST_MODELS], *people, *published[:MOST_PUBLISHED], *baselines[:1]]
        return [row for row in shown if row.value is not None]

    @property
    def score(self) -> str:
        """The name of the score."""
        return self.finding.rows[0].primary

    @property
    def description(self) -> str:
        """What the panel's numbers are."""
        first = self.finding.rows[0]
        title, unit = title_and_unit(self.score)
        better = "higher" if first.higher_is_better else "lower"
        images = f" · {first.counts['test']} test images" if "test" in first.counts else ""
        return f"{title}{f' in {unit}' if unit else ''}, {better} is better{images}"

    @property
    def headline(self) -> list[str]:
        """The finding's headline in lines."""
        return textwrap.wrap(self.finding.headline, MOST_LETTERS)

    @property
    def caveat(self) -> list[str]:
        """The worst caveat in lines."""
        return textwrap.wrap(self.finding.caveat, MOST_LETTERS + 8)

    @property
    def plot_top(self) -> float:
        """Where the plot begins, below the panel's top."""
        return 43 + HEADLINE_LINE * len(self.headline) + CAVEAT_LINE * len(self.caveat)

    @property
    def height(self) -> float:
        """The panel's height."""
        return self.plot_top + LINE * len(self.lines) + AXIS

    def draw(self, top: float) -> Iterator[str]:
        """The panel's elements. top: of the panel."""
        width = WIDTH - 2 * MARGIN
        yield (
            f'<rect class="card" x="{MARGIN}" y="{number(top)}" width="{width}" '
            f'height="{number(self.height)}" rx="8"/>'
        )
        yield text(PADDING, top + 27, self.finding.title, "where")
        yield text(WIDTH - PADDING, top + 27, self.description, "where end wide")
        y = top + 29
        for line in self.headline:
            y += HEADLINE_LINE
            yield text(PADDING, y, line, "head")
        for n, line in enumerate(self.caveat):
            y += CAVEAT_LINE
            if n == 0:
                yield draw_warning(PADDING, y)
            yield text(PADDING + 22, y, line, "warn")
        yield from self.draw_plot(top + self.plot_top)

    def draw_plot(self, top: float) -> Iterator[str]:
        """The axis with its ticks, then the lines."""
        bottom = top + LINE * len(self.lines)
        scale = Scale.of(self.lines)
        for tick in scale.ticks:
            x = number(scale.place(tick))
            yield f'<path class="grid" d="M{x} {number(top)}V{number(bottom + 4)}"/>'
            yield text(scale.place(tick), bottom + 20, scale.text(tick), "tick mid")
        yield from draw_ties(self.lines, top)
        for place, row in enumerate(self.lines):
            yield from draw_line(row, self.lines, scale, top + LINE * (place + 0.5))
