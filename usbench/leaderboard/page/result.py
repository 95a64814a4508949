"""A page per finished result on real images: scores, curves, cases, pictures where images may be shown, and how to get
it again.

    results/<dataset>/<task>/<model>-s<seed>-<key>.html, beside its record

Pages share what lies in results/assets (see `assets`) and open from disk without a network. Of images that may not be
shared a page has figures only: no picture, no case. The same record, case table and gallery give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from usbench.leaderboard.page import result_tables
from usbench.leaderboard.page.commands import Run
from usbench.leaderboard.page.document import ASSETS, as_json, asset
from usbench.leaderboard.page.result_pictures import pictures
from usbench.leaderboard.page.result_tables import Cases
from usbench.leaderboard.page.result_words import card, copyable, details, name_of, safe, value_of
from usbench.results import store as results
from usbench.results.gallery import cases as gallery_cases
from usbench.results.gallery import file as gallery_file
from usbench.results.gallery.file import Gallery

Record = Mapping[str, Any]
SHARED = (
    "page.css",
    "page.js",
    "result.css",
    "result.js",
    "vendor/d3.min.js",
    "vendor/plot.umd.min.js",
)
LICENCES = "vendor/LICENSES.txt"


def pages(
    folder: Path, records: Iterable[Record], runs: Mapping[str, Run] | None = None
) -> dict[Path, bytes]:
    """The page of every result that has one, by its place below the results folder.

    runs: a record's key → how it is made (`commands.runs`); without them pages of runs name no command. Raises
    DataError for a damaged case table or gallery, naming the file.
    """
    made = {}
    for record in with_page(records):
        path, how = results.record_path(folder, record), (runs or {}).get(record["run_id"])
        gallery = gallery_file.load(path, record) if gallery_file.refusal(record) is None else None
        made[path.with_suffix(".html")] = html(
            record, results.read_cases(path, record), gallery, how
        )
    return made


def links(records: Iterable[Record]) -> dict[str, str]:
    """key → the page's address, relative to the results folder."""
    return {
        record["run_id"]: results.record_path(Path(), record).with_suffix(".html").as_posix()
        for record in with_page(records)
    }


def assets() -> dict[str, bytes]:
    """What must lie in results/assets: relative path → content."""
    return {
        name.removeprefix("vendor/"): (ASSETS / name).read_bytes() for name in (*SHARED, LICENCES)
    }


def with_page(records: Iterable[Record]) -> Iterator[Record]:
    """Finished results on real images."""
    return (
        record for record in records if record["status"] == "done" and not record["data"]["phantom"]
    )


def html(
    record: Record,
    rows: Sequence[Mapping[str, str]],
    gallery: Gallery | None = None,
    how: Run | None = None,
) -> bytes:
    """One page. rows: the case table as `results.load_cases` gives it; gallery: None where there is none; how: a run of
    ours is made, see usbench.leaderboard.page.commands."""
    open_, pictured = gallery_file.is_open(record), gallery_file.refusal(record) is None
    drawn = gallery if pictured else None
    data: dict[str, Any] = {"curves": drawn["curves"] if drawn else {}}
    parts = [
        card("Score", result_tables.summary(record), "score"),
        card("Worst, median and best test image", shown_cases(record, drawn), "pictures")
        if pictured
        else "",
        card("Training curves", curves(drawn["curves"]), "curves")
        if drawn and drawn["curves"]
        else "",
    ]
    if gallery_cases.is_judgeable(rows, record["task"]):
        judged = Cases.of(rows, record)
        data["histogram"] = result_tables.histogram(judged.spread(record["task"]), record["task"])
        parts.append(card("Image by image", cases(record, judged, open_), "cases"))
    parts.append(card("Every score", result_tables.scores(record), "scores"))
    parts.append(
        card("Classes", result_tables.classes(record), "classes") if record["per_class"] else ""
    )
    parts.append(card("Make it again", result_tables.made_by(record, how), "again"))
    parts.append(
        card("How it was made", result_tables.configuration(record) + files(record), "made")
    )
    return (
        template()
        .substitute(frame(record), main="\n".join(filter(None, parts)), data=as_json(data))
        .encode()
    )


@cache
def template() -> Template:
    """The frame of a page."""
    return Template(asset("result.html"))


def frame(record: Record) -> dict[str, str]:
    """Title, heading and the line below it."""
    words = [record["dataset"], record["task"]]
    words += [f"trained on {record['trained_on']}"] if record["trained_on"] else []
    words += [f"{record['recipe']} recipe"] if record["recipe"] else []
    words += [f"seed {record['seed']}"] if record["seed"] is not None else []
    words += [f"fold {record['fold']}"] if record["fold"] is not None else []
    words += {"run": []}.get(record["origin"], [record["origin"]])
    score = f"{name_of(record['primary']['name'])} {value_of(record['scores'], record['primary']['name'])}"
    title = f"{record['model']} on {record['dataset']}"
    return {
        "title": safe(f"{title}: {score} · usbench"),
        "heading": safe(title),
        "line": safe(" · ".join(words)),
        "key": safe(record["run_id"]),
    }


def shown_cases(record: Record, gallery: Gallery | None) -> str:
    """The pictures, or how to make them."""
    if gallery is None:
        told = "<p>This result has no pictures and curves yet. Where its run and its data lie, this makes them:</p>"
        return told + copyable(
            f"python scripts/gallery.py {record['run_id']} --data data --runs runs"
        )
    leak = (record["data"].get("leakage") or {}).get("images") or ()
    task = record["task"]
    qualities = {}
    for case in gallery["cases"]:
        value = result_tables.quality(gallery_cases.shown(case["quality"], task), task)
        qualities[case["case"]] = result_tables.TOLD[task].format(value)
    return f"<p>By the {safe(result_tables.WORDS[task])}.</p>" + pictures(gallery, qualities, leak)


def curves(found: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """A place for each curve, with its course in words; result.js draws it."""
    made = []
    for name, points in sorted(
        found.items(), key=lambda one: (one[0].startswith("lr"), one[0])
    ):  # rates last
        values = [value for _, value in points]
        low, high = (
            next(step for step, value in points if value == end)
            for end in (min(values), max(values))
        )
        told = (
            f"{name}: {values[0]:.4g} at epoch {points[0][0]:g}, {values[-1]:.4g} at epoch {points[-1][0]:g}; "
            f"lowest {min(values):.4g} (epoch {low:g}), highest {max(values):.4g} (epoch {high:g})"
        )
        made.append(
            f'<figure class="figure" data-curve="{safe(name)}"><figcaption>{safe(told)}</figcaption></figure>'
        )
    return f'<div class="grid">{"".join(made)}</div>'


def cases(record: Record, judged: Cases, open_: bool) -> str:
    """How the images' qualities are spread, and the worst ten where images may be named."""
    words = result_tables.WORDS[record["task"]]
    drawn = (
        '<figure class="figure" data-histogram><figcaption>'
        f"Test images by the {safe(words)}; below it class by class. The table says the same in figures."
        "</figcaption></figure>"
    )
    listed = result_tables.worst(judged, record) if open_ else ""
    return drawn + result_tables.quartiles(judged.spread(record["task"]), record["task"]) + listed


def files(record: Record) -> str:
    """The record and the case table, which lie beside the page."""
    name = results.record_path(Path(), record).name
    named = [name, *([record["cases"]] if record.get("cases") else [])]
    listed = "".join(f'<li><a href="{safe(one)}">{safe(one)}</a></li>' for one in named)
    return details("Files", f"<ul>{listed}</ul>")
