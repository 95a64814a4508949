"""Pages of results: what stands on them, what never does, and how they behave in a browser without
a network."""

from __future__ import annotations

import html
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
from usbench.leaderboard import commands
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.cache import Cache
from usbench.leaderboard.page import charts, result, result_cases
from usbench.leaderboard.page.overlay import draw_labels, draw_shape
from usbench.leaderboard.page.standing import Standing, find_standings
from usbench.leaderboard.recipes import read_configs
from usbench.results.format import format_value
from usbench.results.gallery import make as gallery
from usbench.results.gallery.file import gallery_path, load_gallery
from usbench.results.gallery.style import Label
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
    standings = find_standings(build_rows(results, []), [], results)
    pages = result.render_stale_pages(folder, results, known, standings, Cache())
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


def standing_of(results: list[Result], run_id: str) -> Standing:
    """Where a result stands among some, without paired tests."""
    return find_standings(build_rows(results, []), [], results)[run_id]


def test_one_of_several_seeds_links_the_others_and_names_their_mean(results_folder):
    first = result_of(page_of(results_folder, "discs-images"))
    others = []
    for seed, value in ((1, 0.5), (2, 0.75)):
        figure = replace(first.scores["dice"], value=value)
        protocol = replace(first.protocol, scores={**first.scores, "dice": figure})
        primary = replace(first.primary, value=value)
        changes = {"protocols": (protocol, *first.protocols[1:]), "primary": primary}
        others.append(replace(first, seed=seed, run_id=str(seed) * 12, **changes))
    standing = standing_of([first, *others], first.run_id)
    mean = format_value((first.primary.value + 1.25) / 3, "dice")
    assert standing.together.startswith(f"Dice {mean}, mean of 3 runs, SD .")
    assert [sibling.name for sibling in standing.siblings] == ["seed 0", "seed 1", "seed 2"]
    text = result.render_result(first, [], standing=standing).decode()
    assert 'href="unet-s1-111111111111.html">seed 1</a></th><td class="number">.500' in text
    assert "seed 0 (this page)" in text and standing.together in text
    alone = standing_of([first], first.run_id)
    assert (
        alone.siblings == ()
        and "Runs of this recipe" not in result.render_result(first, [], standing=alone).decode()
    )


def test_a_rank_is_a_range_with_what_it_rests_on(results_folder):
    """The rows of the leaderboard carry ranks; a row without one says why."""
    first = result_of(page_of(results_folder, "discs-images"))
    row, *_ = build_rows([first], [])  # by the reporting protocol
    ranked = replace(row, rank=(1, 3), ranked=7, compared_groups=39)
    standing = find_standings([ranked], [], [first])[first.run_id]
    assert standing.rank == "1–3 of 7" and "39 groups" in standing.reason
    assert "unet" in standing.finding
    text = result.render_result(first, [], standing=standing).decode()
    assert "<strong>1–3 of 7</strong>" in text and "overlap are tied" in text
    for changes, reason in (
        ({}, "no other model was tested on the same images"),
        ({"old_version": True}, "older version of the model's adapter"),
        ({"old_protocol": True}, "older version of the protocol"),
        ({"folds": (3, 5)}, "some folds are missing"),
        ({"origin": "baseline"}, "A baseline"),
    ):
        standing = find_standings([replace(row, **changes)], [], [first])[first.run_id]
        assert reason in standing.reason and standing.rank == "", changes
    other = replace(row, version=(row.version or 0) + 1)  # another protocol's row
    assert find_standings([other], [], [first]) == {}


@pytest.mark.process
def test_every_finished_result_on_real_images_has_a_page(results_folder):
    results = [*load_results(results_folder), *load_results(results_folder, phantom=True)]
    assert len(results) == 4
    real = [scored for scored in results if not scored.data.phantom]
    failed = replace(real[0], run_id="f" * 12, status="failed", reason="broke", protocols=())
    links = result.page_links([*results, failed])
    assert set(links) == {scored.run_id for scored in real}
    pages = result.render_stale_pages(results_folder, [*results, failed], {}, {}, Cache())
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
    assert "worst" not in text and "Training loss" not in text
    assert 'class="figure histogram"' in text and ">vessel</th>" in text


def test_a_result_without_a_gallery_says_how_to_make_one(results_folder):
    page = page_of(results_folder, "discs-images")
    text = result.render_result(result_of(page), load_cases(page.with_suffix(".json"))).decode()
    assert f"usbench gallery {result_of(page).run_id} --data data --runs runs" in text
    assert "<img" not in text and "histogram" in text and "The worst 6 test images" in text


def test_a_result_without_cases_is_still_a_page(results_folder):
    scored = result_of(page_of(results_folder, "discs-images"))
    bare = replace(scored.protocol, per_class={}, target_score={})
    text = result.render_result(replace(scored, protocols=(bare,), config={}), []).decode()
    assert "histogram" not in text and "Every score" in text


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
        result.render_stale_pages(tmp_path, load_results(tmp_path), {}, {}, Cache())


def test_text_of_a_result_is_never_markup(results_folder):
    page = page_of(results_folder, "discs-images")
    scored, rows = result_of(page), load_cases(page.with_suffix(".json"))
    drawn = load_gallery(page.with_suffix(".json"), scored)
    drawn |= {"classes": [NASTY, "vessel"], "curves": {NASTY: [[1, 2.0]]}, "attribution": NASTY}
    for name in ("cases", "worst"):
        drawn[name] = [{**case, "case": NASTY} for case in drawn[name]]
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


# ---- its parts, by hand


def test_shapes_lie_on_their_pixels():
    """Shapes are in the picture's frame, where the first pixel reaches from 0 to 1."""
    area = {"class": 1, "kind": "area", "at": [[0.5, 0, 1, 0.5, 0, 1], [1, 1, 2, 1, 2, 2]]}
    assert draw_shape(area, "#ffb31a", 64) == (
        '<path style="--c:#ffb31a" d="M0.5 0 1 0.5 0 1ZM1 1 2 1 2 2Z"/>'
    )
    box = {"class": 0, "kind": "box", "at": [[1, 2.5, 5, 7.3]], "score": 0.5}
    assert draw_shape(box, "#56c1ff", 360) == (
        '<rect style="--c:#56c1ff" x="1" y="2.5" width="4" height="4.8"/>'
    )
    point = {"class": 10, "kind": "point", "at": [[3, 4]]}
    assert 'cx="3" cy="4" r="3"' in draw_shape(point, "#000000", 64)
    assert "Z" not in draw_shape({**area, "kind": "line"}, "#000000", 64)


def test_texts_stay_within_the_picture_and_are_no_markup():
    labels = [Label(0, "target", 99, 1, "<b>"), Label(1, "prediction", -5, 300, ".90")]
    first, second = re.findall(r"<text.*?</text>", draw_labels(labels, ["<b>", "x"], (100, 100)))
    assert "&lt;b&gt;</text>" in first and 'x="78.4" y="12"' in first
    assert 'x="0" y="97"' in second


def test_histogram_and_quartiles_by_hand():
    values = {"all classes": [0.0, 0.049, 0.05, 0.5, 1.0], "nerve": []}
    drawn = result_cases.draw_histograms(values, "segment")
    assert list(drawn) == ["all classes", "nerve"]
    bars = re.findall(r'class="bar" x="([\d.]+)" y="([\d.]+)"', drawn["all classes"])
    # five bins of 20 hold images, the first two; the last bin holds its end
    assert len(bars) == 4 and float(bars[0][1]) == charts.TOP
    assert 'class="bar"' not in drawn["nerve"]
    rows = result_cases.quartile_rows(values, "segment")
    assert rows[0] == ["all classes", "5", ".000", ".049", ".050", ".500", "1.000"]
    assert rows[1] == ["nerve", "0", *["–"] * 5]
    of_errors = result_cases.draw_histograms({"all classes": [1.0, 8.0]}, "landmark")
    assert ">8</text>" in of_errors["all classes"]


def test_the_colours_of_several_classes_or_of_an_only_class_s_sides(results_folder):
    page = page_of(results_folder, "discs-images")
    drawn = load_gallery(page.with_suffix(".json"), result_of(page))
    key = [(entry.text, entry.colour) for entry in result_cases.key_of_colours(drawn)]
    assert key == [("nerve", "#56c1ff"), ("vessel", "#ffb31a")]
    key = result_cases.key_of_colours({**drawn, "classes": ["head"]})
    assert [entry.text for entry in key] == ["target: head", "prediction: head"]
    ranked, one = [("a", 0.5), ("b", 0.25)], {"head": {"a": 0.5}}
    assert result_cases.spread_of_cases(ranked, one, "segment") == {"all classes": [0.25, 0.5]}


def test_the_chosen_epoch_is_marked_and_the_learning_rate_is_left_out(results_folder):
    page = page_of(results_folder, "discs-images")
    drawn = load_gallery(page.with_suffix(".json"), result_of(page))
    drawn["curves"] = {
        "lr": [[1, 0.1], [2, 0.01]],
        "train/loss": [[1, 2.0], [2, 1.0], [3, 0.5]],
        "val/score": [[1, 0.2], [2, 0.6], [3, 0.4]],
    }
    loss, score = result_cases.draw_curves(drawn, "dice")
    assert (loss.title, score.title) == ("Training loss", "Dice on validation")
    assert "epoch 2 chosen" in loss.html and 'class="mark"' in score.html
    assert score.text.endswith("0.6 in epoch 2, whose weights were kept")
    del drawn["curves"]["val/score"]
    (loss,) = result_cases.draw_curves(drawn, "dice")
    assert "chosen" not in loss.html and "kept" not in loss.text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.007, 0.523, [0, 0.2, 0.4, 0.6]),
        (0.55, 2.2, [0.5, 1, 1.5, 2, 2.5]),
        (-3, 9, [-5, 0, 5, 10]),
        (2, 2, [1, 1.5, 2, 2.5, 3]),
        (0, 0, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(low, high, expected):
    assert charts.nice_ticks(low, high, 4) == expected


@pytest.mark.parametrize(
    ("last", "expected"),
    [(1, [1]), (2, [1, 2]), (12, [1, 5, 12]), (60, [1, 20, 40, 60]), (70, [1, 20, 40, 70])],
)
def test_epochs_below_a_curve_have_room(last, expected):
    assert charts.epoch_ticks(1, last) == expected


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
    run = open_stored_run(scored, path, config.runs)
    hashed = list(dict.fromkeys(row["case"] for row in rows))  # in the order of the samples
    case = dict(zip(hashed, run.dataset.samples("test").ids, strict=True))
    named = [{**row, "case": case[row["case"]]} for row in rows]
    dataset = {**scored.config["dataset"], "redistribute": "images"}
    real = replace(
        scored,
        data=replace(scored.data, phantom=False),
        config={**scored.config, "dataset": dataset},
    )
    drawn = gallery.make_gallery(real, run.predictions("test"), named, {})
    kinds = {shape["kind"] for one_case in drawn["cases"] for shape in one_case["target"]["shapes"]}
    text = result.render_result(real, named, drawn).decode()
    assert kinds == {"point", "line"} and "<circle" in text and "<path" in text
    assert re.search(
        r"Worst: [^<]+, mean error (2\.\d\d|3\.00) px<", text
    )  # points lie 3 px aside, curves less


# ---- in a browser


@pytest.mark.process
def test_a_page_opens_from_disk_and_its_switches_work(results_folder):
    with opened(page_of(results_folder, "discs-images")) as page:
        pictures = page.locator(".overlay img")
        assert pictures.count() == 3 + 6
        for n in range(9):
            assert pictures.nth(n).evaluate("image => image.complete && image.naturalWidth") == 64
            assert "Target: nerve, vessel" in pictures.nth(n).get_attribute("alt")
        assert page.get_by_text(f"Images: {WHOSE}").count() == 2
        assert page.locator("svg.chart[role=img] path.curve").count() == 1
        assert page.locator(".histogram rect.bar").count() > 0
        target, prediction = page.locator("g.target").first, page.locator("g.prediction").first
        assert target.is_visible() and prediction.is_visible()
        page.get_by_label("Target, solid").uncheck()
        assert not target.is_visible() and prediction.is_visible()
        page.get_by_label("Prediction, dashed").focus()
        page.keyboard.press("Space")
        assert not prediction.is_visible()
        page.get_by_label("Prediction, dashed").check()
        style = "() => getComputedStyle(document.querySelector('g.{} path')).{}"
        assert page.evaluate(style.format("prediction", "stroke")) == "rgb(86, 193, 255)"  # nerve's
        assert page.evaluate(style.format("prediction", "strokeDasharray")) == "6px, 4px"
        assert page.evaluate(style.format("target", "strokeDasharray")) == "none"
        assert page.locator("g.labels text", has_text="vessel").first.is_visible()


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
            return points.map(([row, column]) => {
              const point = Object.assign(svg.createSVGPoint(), {x: column + .5, y: row + .5});
              return path.isPointInFill(point); }); }""",
            edge,
        )
    assert inside == [bool(mask[at] == 1) for at in edge]


@pytest.mark.process
def test_to_a_result_and_back_and_its_command_copied(results_folder):
    run_id = result_of(page_of(results_folder, "discs-images", "detect")).run_id
    with opened(results_folder / "index.html") as page:
        page.get_by_role("link", name=run_id).click()
        page.locator("g.prediction rect").first.wait_for()
        assert page.locator("g.labels text", has_text=".90").first.is_visible()
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
