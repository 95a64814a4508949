"""Pages of results: what stands on them, what never does, and how they behave in a browser without
a network."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.browser import opened
from tests.helpers.finished import finish
from tests.helpers.paths import ROOT
from usbench.datasets.codecs import image as image_file
from usbench.errors import DataError
from usbench.evaluate.stored_run import open_stored_run
from usbench.io.files import write_all
from usbench.leaderboard.cache import Cache
from usbench.leaderboard.page import commands, result, result_cases
from usbench.leaderboard.page.document import templates
from usbench.leaderboard.recipes import read_configs
from usbench.results.format import format_value
from usbench.results.gallery import make as gallery
from usbench.results.gallery.file import gallery_path, load_gallery
from usbench.results.predictions import read_predictions
from usbench.results.result import Leakage, Result
from usbench.results.store import load_cases, load_result, load_results
from usbench.types import Boxes, Masks, Target

NASTY = '</script><b>x</b> & "y"'
SCORE = "usbench score"
RUN = "python -m usbench"
WHOSE = "Our clinic <i>, CC BY 4.0"
COLUMNS, ROWS = np.arange(64)[None, :], np.arange(48)[:, None]


def release(root: Path, images: int = 30) -> None:
    """Discs of two classes with their index masks, grey noise around."""
    rng = np.random.default_rng(3)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for n in range(images):
        mask = np.zeros((48, 64), np.uint8)
        for label, x in ((1, 18), (2, 46)):
            mask[(COLUMNS - x) ** 2 + (ROWS - 24) ** 2 < rng.uniform(5, 14) ** 2] = label
        pixels = (rng.integers(0, 120, mask.shape) + 60 * mask).astype(np.uint8)
        image_file.write_grey(root / "images" / f"{n:03d}.png", pixels)
        Image.fromarray(mask).save(root / "labels" / f"{n:03d}.png")


def shaken(target: Target) -> Target:
    """The target some px aside, further the bigger it is, so that no two cases are alike."""
    if isinstance(target, Boxes):
        by = np.float32(len(target.xyxy) and float(target.xyxy[0, 2] - target.xyxy[0, 0]) / 10)
        sure = np.linspace(0.9, 0.3, len(target.labels)).astype(np.float32)
        return Boxes(target.xyxy + np.float32([by, 0, by, 0]), target.labels, sure)
    assert isinstance(target, Masks)
    by = int(target.planes[0].sum() // 40)
    return Masks(np.roll(target.planes, by, axis=2), np.ones(len(target.planes), np.float32))


def finished(compose: Any, top: Path, task: str, share: str) -> Path:
    """A result on real images, with its gallery where they may be shown."""
    overrides = (
        *(
            "source=real",
            f"dataset.root={top}/data",
            f"dataset.name=discs-{share}",
            f"dataset.redistribute={share}",
        ),
        f"dataset.attribution='{WHOSE}'",
        *(f"dataset.views.{task}.classes=[nerve,vessel]", "overwrite=false"),
    )
    config, path = finish(compose, top, "folder", task, *overrides, predict=shaken)
    (config.run_dir / "log.csv").write_text(
        "1,train/loss,2.5,1\n2,train/loss,1.25,2\n2,lr,0.001,2\n"
    )
    if share == "images":
        test = config.open_dataset().samples("test")
        gallery.make_gallery_after_run(path, read_predictions(config.run_dir, "test", test))
        assert gallery_path(path).is_file()
    return path


@pytest.fixture(scope="module")
def results_folder(compose, tmp_path_factory) -> Path:
    """A results folder with pages: masks and boxes that may be shown, masks that may not, a
    phantom, a failure."""
    top = tmp_path_factory.mktemp("pages")
    release(top / "data")
    for task, share in (("segment", "images"), ("detect", "images"), ("segment", "none")):
        finished(compose, top, task, share)
    finish(compose, top, "usgra", "segment")
    write(top / "results")
    return top / "results"


def write(folder: Path) -> dict[Path, bytes]:
    """The pages and what they share, written; a stand-in for the leaderboard."""
    results = load_results(folder)
    configs = read_configs(ROOT / "conf")
    known = commands.find_commands(results, configs, configs)
    pages = result.render_stale_pages(folder, results, known, Cache())
    links = result.page_links(results)
    linked = "".join(f'<a href="{address}">{run_id}</a>' for run_id, address in links.items())
    index = f"<!doctype html><title>leaderboard</title>{linked}"
    shared = {folder / "assets" / name: text for name, text in result.shared_assets().items()}
    write_all({**pages, **shared, folder / "index.html": index.encode()})
    return pages


def page_of(results_folder: Path, dataset: str, task: str = "segment") -> Path:
    (path,) = (results_folder / dataset / task).glob("*.html")
    return path


def result_of(page: Path) -> Result:
    return load_result(page.with_suffix(".json"))


# ---- what stands on a page


def test_one_of_several_seeds_names_the_mean_over_them():
    """The seeds of the committed unet's first series; deeplabv3 has one."""
    results = load_results(ROOT / "results")
    first = next(scored for scored in results if scored.model == "unet")
    unets = [scored for scored in results if scored.series == first.series]
    notes = result.seed_notes(results)
    count = len(unets)
    assert count > 1 and {scored.run_id for scored in unets} <= set(notes)
    assert not any(scored.run_id in notes for scored in results if scored.model == "deeplabv3")
    mean = sum(scored.primary.value for scored in unets) / count
    expected = (
        f"one of {count} seeds of the recipe; the mean over them is {format_value(mean, 'dice')}."
    )
    assert all(notes[scored.run_id].endswith(expected) for scored in unets)
    text = result.render_result(unets[0], [], seed_note=notes[unets[0].run_id]).decode()
    assert expected in text


@pytest.mark.process
def test_every_finished_result_on_real_images_has_a_page(results_folder):
    results = [*load_results(results_folder), *load_results(results_folder, phantom=True)]
    assert len(results) == 4
    real = [scored for scored in results if not scored.data.phantom]
    failed = replace(real[0], run_id="f" * 12, status="failed", reason="broke", protocols=())
    links = result.page_links([*results, failed])
    assert set(links) == {scored.run_id for scored in real}
    pages = result.render_stale_pages(results_folder, [*results, failed], {}, Cache())
    assert {path.relative_to(results_folder).as_posix() for path in pages} == set(links.values())
    assert all((results_folder / address).is_file() for address in links.values())


def test_the_same_results_give_the_same_bytes(results_folder):
    before = {path: path.read_bytes() for path in results_folder.rglob("*.html")}
    write(results_folder)
    assert {path: path.read_bytes() for path in results_folder.rglob("*.html")} == before
    text = b"".join([*before.values(), *result.shared_assets().values()])
    assert str(results_folder.parent).encode() not in text and b"file:///" not in text


def test_scores_are_the_result_s(results_folder):
    page = page_of(results_folder, "discs-images")
    scored, text = result_of(page), page.read_text()
    dice = scored.scores["dice"]
    assert f"<strong>{dice.value:.3f}".replace("0.", ".") in text
    assert f"[{dice.low:.3f}, {dice.high:.3f}]".replace("0.", ".") in text
    for label in ("nerve", "vessel"):
        value = f"{scored.protocol.per_class[label]['iou'].value:.3f}".replace("0.", ".")
        assert re.search(rf'<tr><th scope="row">{label}</th>.*?{re.escape(value)}', text)
    assert f"usbench reproduce {scored.run_id} --data data" in text
    assert scored.data.fingerprint in text and scored.code.commit in text
    assert scored.machine.packages["numpy"] in text and 'href="../../index.html"' in text
    assert scored.protocol.description in html.unescape(text)


def test_images_that_may_not_be_shown_are_figures_only(results_folder):
    page = page_of(results_folder, "discs-none")
    text, cases = (
        page.read_text(),
        {row["case"] for row in load_cases(page.with_suffix(".json"))},
    )
    assert len(cases) > 3 and not any(case in text for case in cases)
    assert "<img" not in text and "data:image" not in text and "usbench gallery" not in text
    assert "worst" not in text and "data-curve" not in text
    assert "data-histogram" in text and ">vessel</th>" in text


def test_a_result_without_a_gallery_says_how_to_make_one(results_folder):
    page = page_of(results_folder, "discs-images")
    text = result.render_result(result_of(page), load_cases(page.with_suffix(".json"))).decode()
    assert f"usbench gallery {result_of(page).run_id} --data data --runs runs" in text
    assert "<img" not in text and "data-histogram" in text and "The worst 6 test images" in text


def test_a_result_without_cases_is_still_a_page(results_folder):
    scored = result_of(page_of(results_folder, "discs-images"))
    bare = replace(scored.protocol, per_class={}, target_score={})
    text = result.render_result(replace(scored, protocols=(bare,), config={}), []).decode()
    assert "data-histogram" not in text and "Every score" in text


def test_a_damaged_gallery_stops_the_pages(results_folder, tmp_path):
    page = page_of(results_folder, "discs-images")
    copy = tmp_path / "discs-images" / "segment" / page.name
    copy.parent.mkdir(parents=True)
    for suffix in (".json", ".cases.csv.gz", ".gallery.json.gz"):
        source = page.with_name(page.stem + suffix)
        copy.with_name(source.name).write_bytes(
            source.read_bytes()[: -20 if "gallery" in suffix else None]
        )
    with pytest.raises(DataError, match=r"\.gallery\.json\.gz: expected gzipped JSON"):
        result.render_stale_pages(tmp_path, load_results(tmp_path), {}, Cache())


def test_text_of_a_result_is_never_markup(results_folder):
    page = page_of(results_folder, "discs-images")
    scored, rows = result_of(page), load_cases(page.with_suffix(".json"))
    drawn = load_gallery(page.with_suffix(".json"), scored)
    drawn |= {"classes": [NASTY, "vessel"], "curves": {NASTY: [[1, 2.0]]}, "attribution": NASTY}
    drawn["cases"] = [{**case, "case": NASTY} for case in drawn["cases"]]
    names = {"nerve": NASTY, "vessel": "vessel"}
    rows = [{**row, "case": NASTY, "class": names[row["class"]]} for row in rows]
    protocol = replace(
        scored.protocol,
        description=NASTY,
        scores={**scored.scores, "dice:no-leak": scored.scores["dice"]},
        per_class={names[label]: part for label, part in scored.protocol.per_class.items()},
    )
    data = replace(scored.data, leakage=Leakage(1, NASTY, (NASTY,)), splits=NASTY)
    nasty = replace(scored, protocols=(protocol, *scored.protocols[1:]), data=data)
    text = result.render_result(nasty, rows, drawn).decode()
    assert "<b>" not in text and text.count("</script>") == page.read_text().count("</script>")
    assert text.count(html.escape(NASTY).replace("&quot;", "&#34;")) > 10
    (data,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL
    )
    assert list(json.loads(data)["curves"]) == [NASTY]


# ---- its parts, by hand


def svg(shape, width):
    """The SVG element of a gallery's shape."""
    macros = templates().get_template("pictures.html").module
    return str(macros.svg(shape, width)).strip()


def test_shapes_lie_on_their_pixels():
    """Pixel centres are half a pixel into the frame; boxes are edges already."""
    area = {"class": 1, "kind": "area", "at": [[0, -0.5, 0.5, 0, 0, 0.5], [1, 1, 2, 1, 2, 2]]}
    assert svg(area, 64) == (
        '<path class="area" style="--c:#ffb31a" transform="translate(.5 .5)" '
        'd="M0 -0.5 0.5 0 0 0.5ZM1 1 2 1 2 2Z"/>'
    )
    box = {
        "class": 0,
        "kind": "box",
        "at": [[1, 2.5, 5, 7.3]],
        "score": 0.5,
    }  # 360 px wide: letters of 12 px
    assert svg(box, 360) == (
        '<rect style="--c:#56c1ff" x="1" y="2.5" width="4" height="4.8"/>'
        '<text style="--c:#56c1ff" x="1" y="12.0" font-size="12.0">0.50</text>'
    )
    point = {"class": 10, "kind": "point", "at": [[3, 4]]}
    assert 'cx="3" cy="4"' in svg(point, 64) and "#56c1ff" in svg(point, 64)
    assert "Z" not in svg({**area, "kind": "line"}, 64).partition(" d=")[2]


def test_histogram_and_quartiles_by_hand():
    values = {"all classes": [0.0, 0.049, 0.05, 0.5, 1.0], "nerve": []}
    histogram = result_cases.histogram_data(values, "segment")
    counts = histogram["rows"][0]["counts"]
    assert (counts[0], counts[1], counts[10], counts[19], sum(counts)) == (
        2,
        1,
        1,
        1,
        5,
    )  # the last bin holds its end
    assert histogram["edges"][1] == 0.05 and sum(histogram["rows"][1]["counts"]) == 0
    rows = result_cases.quartile_rows(values, "segment")
    assert rows[0] == ["all classes", "5", ".000", ".049", ".050", ".500", "1.000"]
    assert rows[1] == ["nerve", "0", *["–"] * 5]
    assert result_cases.histogram_data({"all classes": [1.0, 8.0]}, "landmark")["edges"][-1] == 8


@pytest.mark.parametrize(
    ("origin", "how", "expected"),
    [
        ("run", commands.RunCommand(("dataset=d",), 1, 2), f"{RUN} dataset=d seed=1 fold=2"),
        ("run", commands.RunCommand(None, 1), ""),
        ("run", None, ""),
        ("baseline", None, "usbench sanity dataset=d task=segment source=real"),
        ("human", None, "usbench interrater dataset=d"),
        (
            "external",
            None,
            f"{SCORE} --task segment --dataset d --predictions PREDICTIONS --name m",
        ),
    ],
)
def test_the_command_of_a_result(results_folder, origin, how, expected):
    scored = result_of(page_of(results_folder, "discs-images"))
    scored = replace(scored, dataset="d", task="segment", model="m", origin=origin)
    assert commands.result_command(scored, how) == expected


@pytest.mark.process
def test_landmarks_have_a_page_too(compose, tmp_path):
    """A phantom's figures, as if its images were real: points and curves are drawn, errors are told
    in px."""
    config, path = finish(compose, tmp_path, "unity", "landmark")
    scored, rows = load_result(path), load_cases(path)
    run = open_stored_run(scored, config.runs)
    hashed = list(dict.fromkeys(row["case"] for row in rows))  # in the order of the samples
    case = dict(zip(hashed, run.dataset.samples("test").ids, strict=True))
    named = [{**row, "case": case[row["case"]]} for row in rows]
    dataset = {**scored.config["dataset"], "redistribute": "images"}
    real = replace(
        scored,
        data=replace(scored.data, phantom=False),
        config={**scored.config, "dataset": dataset},
    )
    drawn = gallery.make_gallery(real, run.predictions("test"), named)
    kinds = {shape["kind"] for one_case in drawn["cases"] for shape in one_case["truth"]["shapes"]}
    text = result.render_result(real, named, drawn).decode()
    assert kinds == {"point", "line"} and "<circle" in text and 'class="line"' in text
    assert re.search(
        r"Worst: [^<]+, mean error (2\.\d\d|3\.00) px<", text
    )  # points lie 3 px aside, curves less


# ---- in a browser


@pytest.mark.process
def test_a_page_opens_from_disk_and_its_switches_work(results_folder):
    with opened(page_of(results_folder, "discs-images")) as page:
        pictures = page.locator(".picture img")
        assert pictures.count() == 3
        for n in range(3):
            assert pictures.nth(n).evaluate("image => image.complete && image.naturalWidth") == 64
            assert "target: nerve, vessel" in pictures.nth(n).get_attribute("alt")
        assert page.get_by_text(f"Image: {WHOSE}").count() == 3
        assert (
            page.locator("figure[data-curve] svg path").count() > 0
            and page.locator("[data-histogram] rect").count() > 0
        )
        assert (
            page.evaluate("document.querySelector('figure[data-curve] svg').getAttribute('role')")
            == "img"
        )
        target, prediction = page.locator("g.target").first, page.locator("g.prediction").first
        assert target.is_visible() and prediction.is_visible()
        page.get_by_label("Target (solid)").uncheck()
        assert not target.is_visible() and prediction.is_visible()
        page.get_by_label("Prediction (dashed)").focus()
        page.keyboard.press("Space")
        assert not prediction.is_visible()
        page.get_by_label("Prediction (dashed)").check()
        stroke = "() => getComputedStyle(document.querySelector('g.prediction path')).stroke"
        assert page.evaluate(stroke) == "rgb(86, 193, 255)"  # nerve's
        page.get_by_label("Class colours").uncheck()
        assert page.evaluate(stroke) == "rgb(255, 127, 174)"  # the predictions'


@pytest.mark.process
def test_an_outline_lies_over_its_mask(results_folder):
    """The truth's path, as the browser places it, holds the middle of a pixel inside and not that
    of one outside."""
    page_file = page_of(results_folder, "discs-images")
    drawn = load_gallery(page_file.with_suffix(".json"), result_of(page_file))["cases"][0]
    name = Path(drawn["case"]).name
    mask = np.asarray(Image.open(results_folder.parent / "data" / "labels" / f"{name}.png"))
    edge = []
    for row, column in product(range(2, 46), range(2, 62)):
        if len(np.unique(mask[row - 1 : row + 2, column - 1 : column + 2])) > 1:
            edge.append((row, column))
    with opened(page_file) as page:
        inside = page.evaluate(
            """points => { const path = document.querySelector('g.target path');
            const svg = path.ownerSVGElement;
            const back = path.transform.baseVal.consolidate().matrix.inverse();
            return points.map(([row, column]) => {
              const point = Object.assign(svg.createSVGPoint(), {x: column + .5, y: row + .5});
              return path.isPointInFill(point.matrixTransform(back)); }); }""",
            edge,
        )
    assert inside == [bool(mask[at] == 1) for at in edge]


@pytest.mark.process
def test_to_a_result_and_back_and_its_command_copied(results_folder):
    run_id = result_of(page_of(results_folder, "discs-images", "detect")).run_id
    with opened(results_folder / "index.html") as page:
        page.get_by_role("link", name=run_id).click()
        page.locator("g.prediction rect").first.wait_for()
        assert page.locator("g.prediction text").first.text_content() == "0.90"
        page.get_by_role("button", name="Copy").last.click()
        assert (
            page.evaluate("navigator.clipboard.readText()")
            == f"usbench reproduce {run_id} --data data"
        )
        page.keyboard.press("Tab")
        page.get_by_role("link", name="All results").click()
        page.wait_for_url("**/index.html")
        assert page.title() == "leaderboard"


@pytest.mark.process
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_has_no_sideways_scroll_in_either_theme(results_folder, theme):
    for dataset in ("discs-images", "discs-none"):
        with opened(page_of(results_folder, dataset), width=375, height=700, theme=theme) as page:
            page.evaluate(
                "document.querySelectorAll('details').forEach((part) => { part.open = true; })"
            )
            assert page.evaluate("document.scrollingElement.scrollWidth") <= 375
            headings = page.locator("h1, h2, h3").evaluate_all(
                "all => all.map((one) => Number(one.tagName[1]))"
            )
            assert headings[0] == 1 and headings.count(1) == 1
            assert all(after <= before + 1 for before, after in pairwise(headings))
