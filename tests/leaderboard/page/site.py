"""Results, datasets and tests of a small leaderboard for the tests of its page; not a test itself."""

from __future__ import annotations

import base64
import io
import json
from itertools import combinations
from pathlib import Path

from PIL import Image

from tests.leaderboard.test_leaderboard import by_the_paper, figure, make_result, paper, rows
from usbench import catalogue
from usbench.leaderboard.commands import RunCommand
from usbench.leaderboard.findings import state_findings
from usbench.leaderboard.page import index
from usbench.leaderboard.page.view import PageContent
from usbench.leaderboard.published import DatasetSummary, Note, datasets_by_name
from usbench.leaderboard.ranking import PairTest, place_rows

EVIL = "<script>window.evil = 1</script><img src=x onerror='window.evil = 2'>"
NOTES = (
    Note("leakage", f"7 of the 40 test images leak {EVIL}"),
    Note("defect", "stray pixels: 13", "segment"),
    Note("defect", "xml without image: 1", "detect"),
    Note("access", "two public archives"),
)


def scored(value, wide=0.05, **more):
    """Scores of a result with an interval, and per class."""
    scores = {"dice": figure(value, value - wide, value + wide), "iou": figure(value - 0.1)}
    classes = {"dura": {"dice": figure(value - 0.05)}, "pia": {"dice": figure(value + 0.05)}}
    primary = {"name": "dice", "value": value, "higher_is_better": True}
    return {"scores": scores, "per_class": classes, "primary": primary, **more}


def net(name, value, parameters, seed=0, **more):
    return make_result(seed=seed, model=name, parameters=parameters, **scored(value), **more)


BROKEN = {"status": "failed", "protocol": None, "primary": None, "scores": {}, "per_class": {}}
COST = {
    "macs": 10**9,
    "latency_ms": {"p50": 12.0},
    "fps": 83.0,
    "on": "a CPU",
    "device": "cpu",
    "threads": 2,
}
RESULTS = [
    net("unet", 0.7, 31_044_106, protocols={"kumar2025-cnn": by_the_paper(0.5)}),
    net("unet", 0.6, 31_044_106, seed=1, protocols={"kumar2025-cnn": by_the_paper(0.6)}),
    make_result(seed=2, model="unet", reason=f"out of memory {EVIL}", **BROKEN),
    net(
        "deeplabv3",
        0.8,
        40_000_000,
        recipe="quick",
        cost=COST,
        protocols={"kumar2025-cnn": by_the_paper(0.4)},
    ),
    net("segformer", 0.5, 50_000_000, cost={**COST, "latency_ms": {"p50": 30.0}}),
    net("tiny", 0.4, 1_000_000),
    net(f"net {EVIL}", 0.3, 60_000_000),
    net("prior", 0.1, None, origin="baseline", recipe=None, seed=None),
    net("human-agreement", 0.9, None, origin="human", recipe=None, seed=None),
    net("unet", 0.33, 31_044_106, dataset="spinal_human", trained_on="spinal"),
]
SPINAL = DatasetSummary(
    "spinal",
    title=f"Porcine cord {EVIL}",
    licence=f"none declared {EVIL}",
    citation=f"Kumar et al. 2025 {EVIL}",
    published=(
        paper(note=f"as stated {EVIL}"),
        paper(name="DeepLabv3", model="deeplabv3", scores={"dice": 0.587}),
        paper(
            name="Old net", protocol="unknown", model=None, why="no package", scores={"dice": 0.5}
        ),
    ),
    notes=NOTES,
)
DATASETS = [SPINAL, DatasetSummary("spinal_human")]
UNETS = [r["run_id"] for r in RESULTS if r["model"] == "unet" and r["dataset"] == "spinal"]
LINKS = {UNETS[0]: "spinal/segment/unet-s0.html", UNETS[1]: "spinal/segment/unet-s1.html"}
OVERRIDES = ("dataset=spinal", "source=real", "model=unet", "recipe=kumar2025", "precision=bf16")
RUNS = {
    run_id: RunCommand(OVERRIDES, seed, None, reproducible=seed < 2)
    for seed, run_id in enumerate(UNETS)
}
TESTED = ("deeplabv3", "unet", "segformer", "tiny")  # models that are compared
APART = {("deeplabv3", "unet"), ("deeplabv3", "segformer"), ("deeplabv3", "tiny"), ("unet", "tiny")}


def ranked_rows(results=RESULTS, datasets=DATASETS):
    """The rows with ranks, and their comparison: deeplabv3 leads, unet ties with segformer, that with tiny."""
    all_rows = rows(results, datasets)
    places = [
        place
        for place, row in enumerate(all_rows)
        if row.name in TESTED and row.reporting and row.dataset == "spinal" and row.origin == "run"
    ]
    if not places:
        return all_rows, None
    tested = [all_rows[place] for place in places]
    names = [row.name for row in tested]
    tests = {}
    for a, b in combinations(range(len(tested)), 2):
        scores = {names[n]: tested[n].value for n in (a, b)}
        better, worse = sorted((names[a], names[b]), key=lambda name: -scores[name])
        p = 0.0001 if (better, worse) in APART else 0.4
        value = scores[better] - scores[worse]
        tests[a, b] = PairTest(scores, value, value - 0.04, value + 0.04, 0.02, 29, p, 30)
    ranked, comparison = place_rows(tested, names, tests)
    for place, row in zip(places, ranked, strict=True):
        all_rows[place] = row
    return all_rows, comparison


def make_content(results=RESULTS, datasets=DATASETS, **more):
    """What the page of these results shows."""
    all_rows, comparison = ranked_rows(results, datasets)
    return PageContent(
        rows=all_rows,
        datasets=datasets_by_name(datasets, all_rows),
        findings=state_findings(all_rows, datasets),
        links=LINKS,
        commands=RUNS,
        comparisons=[comparison] if comparison else [],
        cases={"spinal/segment"},
        updated="2026-11-28",
        **more,
    )


def write_site(folder: Path) -> Path:
    """The page, the catalogue, the cases, and a stand-in for one result's page; the page's path."""
    cards = catalogue.view()
    page = folder / "index.html"
    page.write_bytes(index.render_index(make_content(), cards))
    (folder / "assets").mkdir()
    (folder / index.CATALOGUE).write_bytes(index.render_catalogue(cards))
    result = folder / LINKS[UNETS[0]]
    result.parent.mkdir(parents=True)
    result.write_text(
        "<!doctype html><title>result</title><h1>unet, seed 0</h1>"
        "<a href='../../index.html'>leaderboard</a>"
    )
    (result.parent / "cases.js").write_text(
        f"usbench.addCases('spinal/segment',{json.dumps(make_cases())});"
    )
    return page


def square(x, y, side):
    """An area as a gallery has it."""
    return {
        "class": 0,
        "kind": "area",
        "at": [[x, y, x + side, y, x + side, y + side, x, y + side]],
    }


def make_cases():
    """Two images; on the second, unet and deeplabv3 disagree more."""
    buffer = io.BytesIO()
    Image.new("L", (64, 48), 90).save(buffer, "JPEG")
    jpeg = base64.b64encode(buffer.getvalue()).decode()
    target = {"shapes": [square(10, 10, 20)]}
    cases = [
        {"case": name, "size": [48, 64], "jpeg": jpeg, "target": target} for name in ("i1", "i2")
    ]

    def predict(*qualities):
        return [
            {"quality": quality, "prediction": {"shapes": [square(14, 10, 20)] if quality else []}}
            for quality in qualities
        ]

    deeplab = next(r["run_id"] for r in RESULTS if r["model"] == "deeplabv3")
    runs = {UNETS[0]: predict(0.7, 0.0), deeplab: predict(0.8, 0.8)}
    return {
        "attribution": "a lab, CC BY 4.0",
        "classes": ["dura", "pia"],
        "cases": cases,
        "runs": runs,
    }
