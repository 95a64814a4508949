"""The same test images through all models: one script per dataset and task, and a finding's picture.

    results/<dataset>/<task>/cases.js

calls usbench.addCases("<dataset>/<task>", data), which a page loads when it compares models. The
file follows from the galleries beside it alone, and is there only where images may be shown. data:

    attribution   whose images these are
    classes       names; a shape's class is an index into them
    colours       {target, prediction}: a colour per class
    cases         [{case, size: [height, width], jpeg: base64, target: {shapes}}]
    runs          run id → [{quality, prediction: {shapes}} or null, in the order of cases]

Shapes are those of gallery.schema.json, in the JPEG's pixels: they fit an SVG whose viewBox is
"0 0 width height". A quality is a Dice, an F1, or a mean error in px.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from usbench.io.files import JsonObject, hash_if_there
from usbench.leaderboard.cache import Cache, hash_code, key
from usbench.leaderboard.page.document import as_json
from usbench.leaderboard.page.overlay import describe_case, draw_case
from usbench.results import store
from usbench.results.gallery.cases import display_quality
from usbench.results.gallery.file import (
    Gallery,
    Shape,
    Thumbnail,
    gallery_path,
    load_gallery,
    why_no_gallery,
)
from usbench.results.gallery.style import SIDES, class_colour
from usbench.results.result import Result
from usbench.types import Task

FILE = "cases.js"
SOURCES = ("leaderboard/page/*.py", "results/gallery/*")  # what a script follows from
MOST_CASES = 24  # of a dataset and task; results on other folds have other images
Galleries = Mapping[str, Gallery]  # by run id


@dataclass(frozen=True)
class CardPicture:
    """A small picture for a finding: less than 8 kB of HTML that assets/overlay.css draws."""

    html: Markup  # with its alt text
    case: str  # the image's id
    alt: str
    attribution: str


def card_picture(folder: Path, result: Result) -> CardPicture | None:
    """The picture of a leading result: the median of the cases that all results share.

    Args:
        folder: the results folder.
        result: a finished one.

    Returns:
        None where images may not be shown or the result has no gallery with such a case.
    """
    gallery = read_gallery(folder, result)
    if gallery is None or gallery["card"] is None:
        return None
    card, classes = gallery["card"], gallery["classes"]
    alt = f"{describe_case(card, classes)} The median of {result.model}'s cases."
    html = draw_case(card, classes, alt)
    return CardPicture(html, card["case"], alt, gallery["attribution"])


def read_gallery(folder: Path, result: Result) -> Gallery | None:
    """A result's gallery; None where it may have none or has none yet."""
    if why_no_gallery(result) is not None:
        return None
    return load_gallery(store.result_path(folder, result), result)


def render_stale_scripts(
    folder: Path, results: Iterable[Result], cache: Cache
) -> tuple[dict[Path, bytes], set[Path]]:
    """Each cases.js that is missing or out of date, and the paths of all that the results give.

    Args:
        folder: the results folder.
        results: in any order.
        cache: hashes of scripts that were rendered earlier.

    Raises:
        DataError: a gallery is damaged.
    """
    by_view: dict[tuple[str, Task], list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda result: result.run_id):
        if why_no_gallery(result) is None:
            by_view[result.dataset, result.task].append(result)
    stale, current = {}, set()
    for (dataset, task), members in sorted(by_view.items()):
        path = folder / dataset / task / FILE
        galleries = [gallery_path(store.result_path(folder, result)) for result in members]
        facts = key(hash_code(SOURCES), dataset, task, [hash_if_there(file) for file in galleries])
        sha256 = cache.get(facts)  # "" where no gallery has such cases
        if sha256 is None or (sha256 and sha256 != hash_if_there(path)):
            script = render_script(folder, members)
            sha256 = hashlib.sha256(script).hexdigest() if script else ""
            cache.put(facts, sha256)
            if script:
                stale[path] = script
        if sha256:
            current.add(path)
    return stale, current


def render_script(folder: Path, results: Sequence[Result]) -> bytes:
    """The cases.js of results on one dataset and task; empty where no gallery has such cases."""
    galleries = {}
    for result in results:
        gallery = read_gallery(folder, result)
        if gallery is not None and gallery["common"]:
            galleries[result.run_id] = gallery
    if not galleries:
        return b""
    dataset, task = results[0].dataset, results[0].task
    name, data = as_json(f"{dataset}/{task}"), as_json(collect_cases(galleries, task))
    return f"usbench.addCases({name},{data});\n".encode()


def collect_cases(galleries: Galleries, task: Task) -> JsonObject:
    """What cases.js holds of some results on one dataset and task.

    The cases that most results share come first, then the first that a result lists. A target is
    drawn as in the result with most classes.
    """
    richest = sorted(galleries.values(), key=lambda gallery: -len(gallery["classes"]))
    classes = list(dict.fromkeys(name for gallery in richest for name in gallery["classes"]))
    cases: dict[str, JsonObject] = {}
    for gallery in richest:
        for case in gallery["common"]:
            if case["case"] not in cases:
                cases[case["case"]] = describe_shared(case, gallery, classes)
    shared = Counter(case["case"] for gallery in richest for case in gallery["common"])
    order = [case for case, _ in shared.most_common(MOST_CASES)]
    return {
        "attribution": richest[0]["attribution"],
        "classes": classes,
        "colours": {
            side: [class_colour(n, side, len(classes)) for n in range(len(classes))]
            for side in SIDES
        },
        "cases": [cases[case] for case in order],
        "runs": {
            run_id: predictions_of(gallery, order, classes, task)
            for run_id, gallery in galleries.items()
        },
    }


def describe_shared(case: Thumbnail, gallery: Gallery, classes: Sequence[str]) -> JsonObject:
    """What all results share of a case."""
    target = renumber(case["target"]["shapes"], gallery["classes"], classes)
    parts = {"case": case["case"], "size": case["size"], "jpeg": case["jpeg"]}
    return {**parts, "target": {"shapes": target}}


def predictions_of(
    gallery: Gallery, order: Iterable[str], classes: Sequence[str], task: Task
) -> list[JsonObject | None]:
    """One result's quality and prediction for each case; None for a case that it lacks."""
    own = {case["case"]: case for case in gallery["common"]}
    entries: list[JsonObject | None] = []
    for name in order:
        case = own.get(name)
        if case is None:
            entries.append(None)
            continue
        shapes = renumber(case["prediction"]["shapes"], gallery["classes"], classes)
        quality = display_quality(case["quality"], task)
        entries.append({"quality": quality, "prediction": {"shapes": shapes}})
    return entries


def renumber(
    shapes: Iterable[Shape], own: Sequence[str], classes: Sequence[str]
) -> list[JsonObject]:
    """Shapes of a result's own classes with their numbers among all classes."""
    return [{**shape, "class": classes.index(own[shape["class"]])} for shape in shapes]
