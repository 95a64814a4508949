"""The cases that models are compared on: cases.js, and a finding's picture."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from tests.results.test_store import result
from usbench.leaderboard.cache import Cache
from usbench.leaderboard.page.compare_cases import (
    MOST_CASES,
    card_picture,
    collect_cases,
    render_stale_scripts,
)
from usbench.results.gallery.file import Gallery, encode, gallery_path
from usbench.results.result import PredictionsFile, Result
from usbench.results.store import result_path

SQUARE = [[1, 1, 9, 1, 9, 9, 1, 9]]
JPEG = "AAAA"


def thumbnail(case: str, quality: float, label: int = 0) -> Any:
    """A case with a square of one class in target and prediction."""
    drawing = {"shapes": [{"class": label, "kind": "area", "at": SQUARE}], "unknown": []}
    size = [20, 30]
    parts = {"case": case, "quality": quality, "size": size, "jpeg": JPEG}
    return {**parts, "target": drawing, "prediction": drawing}


def made(run_id: str, classes: list[str], common: list[Any]) -> Gallery:
    """A gallery of common cases alone."""
    return {
        "schema": 2,
        "run_id": run_id,
        "predictions_sha256": "1" * 64,
        "attribution": "our clinic <i>",
        "classes": classes,
        "curves": {},
        "cases": [],
        "worst": [],
        "common": common,
        "card": common[0] if common else None,
    }


def scored(run_id: str, redistribute: str = "images") -> Result:
    """A result whose images may be shown, or not."""
    return replace(
        result(),
        run_id=run_id,
        config={"dataset": {"redistribute": redistribute}},
        predictions=PredictionsFile("predictions-test.json", "1" * 64, 1),
    )


def write(folder: Path, made_up: Result, gallery: Gallery) -> None:
    """The gallery beside where the result belongs."""
    path = gallery_path(result_path(folder, made_up))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(gallery))


def test_runs_share_images_and_targets_in_one_order():
    """A class of one result has its place among all; a case that a result lacks is null."""
    galleries = {
        "a" * 12: made("a" * 12, ["vessel"], [thumbnail("x", 0.5), thumbnail("y", 0.25)]),
        "b" * 12: made("b" * 12, ["nerve", "vessel"], [thumbnail("y", 0.75, 1)]),
    }
    data = collect_cases(galleries, "segment")
    assert data["classes"] == ["nerve", "vessel"]
    assert [case["case"] for case in data["cases"]] == ["y", "x"]  # the shared one first
    assert data["cases"][1]["target"]["shapes"][0]["class"] == 1
    assert data["runs"]["b" * 12][1] is None
    first, second = data["runs"]["a" * 12]
    assert (first["quality"], second["quality"]) == (0.25, 0.5)
    assert first["prediction"] == {"shapes": [{"class": 1, "kind": "area", "at": SQUARE}]}
    assert data["colours"]["target"] == data["colours"]["prediction"]
    assert collect_cases(galleries, "landmark")["runs"]["a" * 12][0]["quality"] == -0.25


def test_folds_with_other_images_don_t_make_the_file_endless():
    galleries = {}
    for fold in range(4):
        cases = [thumbnail(f"{fold}/{n}", 0.5) for n in range(12)]
        galleries[str(fold) * 12] = made(str(fold) * 12, ["a"], cases)
    data = collect_cases(galleries, "segment")
    assert len(data["cases"]) == MOST_CASES
    assert all(len(run) == MOST_CASES for run in data["runs"].values())
    assert data["colours"]["target"] != data["colours"]["prediction"]  # of an only class


def test_a_script_per_dataset_and_task_where_images_may_be_shown(tmp_path):
    results = [scored("a" * 12), scored("b" * 12), scored("c" * 12, "labels"), scored("d" * 12)]
    for made_up in results[:3]:
        write(tmp_path, made_up, made(made_up.run_id, ["</script>"], [thumbnail("x", 0.5)]))
    write(tmp_path, results[3], made("d" * 12, ["</script>"], []))
    scripts, paths = render_stale_scripts(tmp_path, results, cache := Cache())
    (path,) = scripts
    assert paths == {path}
    text = scripts[path].decode()
    assert path == result_path(tmp_path, results[0]).parent / "cases.js"
    found = re.fullmatch(r'usbench\.addCases\("([^"]+)",(\{.*\})\);\n', text)
    assert found is not None and "</script>" not in text
    assert found[1] == f"{results[0].dataset}/{results[0].task}"
    assert list(json.loads(found[2])["runs"]) == ["a" * 12, "b" * 12]
    assert render_stale_scripts(tmp_path, reversed(results), Cache()) == (scripts, paths)
    path.write_bytes(scripts[path])
    assert render_stale_scripts(tmp_path, results, cache) == ({}, paths)
    write(tmp_path, results[0], made("a" * 12, ["other"], [thumbnail("x", 0.5)]))
    assert list(render_stale_scripts(tmp_path, results, cache)[0]) == [path]
    assert render_stale_scripts(tmp_path, results[2:], cache) == ({}, set())
    assert render_stale_scripts(tmp_path, results[2:], cache) == ({}, set())  # from the cache


@pytest.mark.parametrize(("redistribute", "is_there"), [("images", True), ("labels", False)])
def test_a_finding_s_picture_is_small_and_has_words(tmp_path, redistribute, is_there):
    made_up = scored("a" * 12, redistribute)
    assert card_picture(tmp_path, made_up) is None
    write(tmp_path, made_up, made("a" * 12, ["nerve", "vessel"], [thumbnail("x <b>", 0.5, 1)]))
    picture = card_picture(tmp_path, made_up)
    assert (picture is not None) == is_there
    if picture is not None:
        assert "Target: vessel; prediction: vessel." in picture.alt
        assert picture.html.count("<path") == 2 and f"base64,{JPEG}" in picture.html
        assert escape(picture.alt) in picture.html and picture.case == "x <b>"
        assert picture.attribution == "our clinic <i>"
        write(tmp_path, made_up, made("a" * 12, ["nerve"], []))
        assert card_picture(tmp_path, made_up) is None
