"""Predictions that are kept beside a result: their file, and scoring from it where the run is gone."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.finished import finish
from tests.results.test_store import result
from usbench.cli import explain, gallery
from usbench.errors import DataError
from usbench.evaluate.external import score_external
from usbench.evaluate.rescore import rescore, rescore_all, with_earlier_calibration
from usbench.evaluate.stored_run import open_stored_run
from usbench.io.files import file_sha256
from usbench.metrics.scores import Scores
from usbench.results.kept_predictions import load_kept, pack_predictions, why_not_kept
from usbench.results.predictions import prediction_files
from usbench.results.result import PredictionsFile
from usbench.results.scoring import CALIBRATION
from usbench.results.store import (
    encode_cases,
    kept_path,
    load_cases,
    load_result,
    save_result,
)

PREDICTIONS = '[\n{"image_id":1,"category_id":1,"bbox":[1.50,2,3,4],"score":0.123456789}\n]\n'
IMAGES = '[\n{"id":1,"file_name":"a","group":"a","height":4,"width":4}\n]\n'


def run_folder(folder: Path) -> Path:
    """A run's folder with one prediction."""
    folder.mkdir()
    predictions, images = prediction_files(folder, "test")
    predictions.write_text(PREDICTIONS)
    images.write_text(IMAGES)
    return folder


def test_the_texts_come_back_to_the_byte_and_other_tools_read_them(tmp_path):
    folder, place = run_folder(tmp_path / "run"), tmp_path / "a.predictions.json.gz"
    packed = pack_predictions(folder, {"confidence": 0.3})
    place.write_bytes(packed)
    kept = load_kept(place, file_sha256(prediction_files(folder, "test")[0]))
    assert (kept.images, kept.predictions) == (IMAGES, PREDICTIONS)
    assert kept.thresholds == {"confidence": 0.3}
    assert pack_predictions(folder, {"confidence": 0.3}) == packed
    content = json.loads(gzip.decompress(packed))
    assert content["predictions"] == json.loads(PREDICTIONS) and len(content["images"]) == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda packed: packed[:-12], "damaged file"),
        (lambda packed: b"{}", "damaged file"),
        (lambda packed: gzip.compress(b'{"images":[],"predictions":[]}'), "damaged file"),
        (lambda packed: packed, "was scored from, got others"),
    ],
    ids=["cut off", "not packed", "a key is missing", "others"],
)
def test_damaged_or_other_predictions_are_refused(tmp_path, damage, message):
    place = tmp_path / "a.predictions.json.gz"
    place.write_bytes(damage(pack_predictions(run_folder(tmp_path / "run"), {})))
    with pytest.raises(DataError, match=message) as error:
        load_kept(place, "0" * 64)
    assert str(place) in str(error.value) and "usbench gallery" in str(error.value)


@pytest.mark.parametrize(
    ("redistribute", "phantom", "kept"),
    [
        ("images", False, True),
        ("labels", False, True),
        ("none", False, False),
        ("images", True, False),
    ],
)
def test_only_real_results_whose_labels_may_be_shared_keep_theirs(redistribute, phantom, kept):
    made = replace(
        result(),
        config={"dataset": {"redistribute": redistribute}},
        data=replace(result().data, phantom=phantom),
        predictions=PredictionsFile("run/predictions-test.json", "1" * 64, 1),
    )
    assert (why_not_kept(made) is None) == kept


# ---- a run on a release of a lab's own


def release(root: Path, images: int = 30) -> None:
    """Discs with their masks."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:48, :64]
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for n in range(images):
        x, y = rng.uniform(18, 46), rng.uniform(18, 30)
        disc = (columns - x) ** 2 + (rows - y) ** 2 < rng.uniform(6, 14) ** 2
        pixels = np.where(disc, 40, 160) + rng.integers(0, 60, disc.shape)
        Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / f"{n:03d}.png")
        Image.fromarray(disc.astype(np.uint8)).save(root / "labels" / f"{n:03d}.png")


def finished(compose: Any, top: Path, task: str, redistribute: str = "labels") -> tuple[Any, Path]:
    """(configuration, result) of a run on it."""
    release(top / "data" / "discs")
    return finish(
        compose,
        top,
        "folder",
        task,
        *("source=real", f"dataset.root={top}/data/discs", "dataset.name=discs"),
        *(f"dataset.redistribute={redistribute}", f"dataset.views.{task}.classes=[lesion]"),
    )


def places(config: Any) -> list[str]:
    """Options of a verb that name the folders."""
    return ["--results", str(config.results), "--runs", str(config.runs)]


@pytest.mark.process
@pytest.mark.parametrize("task", ["segment", "detect"])
def test_a_result_is_scored_again_from_what_is_kept(compose, tmp_path, monkeypatch, task):
    config, path = finished(compose, tmp_path, task)
    before = load_result(path)
    assert gallery.main([str(path), *places(config)]) == 0
    assert kept_path(path).is_file() and not list(tmp_path.rglob("*.gallery.*"))
    thresholds = open_stored_run(before, path, config.runs).thresholds()
    shutil.rmtree(config.runs)
    monkeypatch.setenv("USBENCH_DATA", str(tmp_path / "data"))
    run = open_stored_run(before, path, config.runs)
    assert run.kept is not None and run.thresholds() == thresholds
    again, cases = rescore(before, path, config.runs)
    assert again.to_json() == before.to_json()
    assert encode_cases(cases) == path.with_name(before.cases).read_bytes()
    report = rescore_all(config.results, config.runs, phantom=False)
    assert (report.changed, report.unchanged, report.skipped) == ([], [path], {})
    assert explain.main([before.run_id, *places(config)]) == 0
    monkeypatch.delenv("USBENCH_DATA")
    data = ["--data", str(tmp_path / "data")]
    assert explain.main([before.run_id, *places(config), *data]) == 0
    assert explain.main([before.run_id, *places(config), "--data", str(tmp_path)]) == 1


def test_an_earlier_calibration_error_stays_where_probabilities_are_gone(compose, tmp_path):
    """The kept file has none, so that the figure of the result holds."""
    _, path = finished(compose, tmp_path, "segment")
    scores = load_result(path).protocol
    ece = replace(scores.scores["dice"], value=0.125)
    with_ece = replace(
        scores,
        scores={**scores.scores, "ece": ece},
        per_class={"lesion": {**scores.per_class["lesion"], "ece": ece}},
        description="earlier",
    )
    new = with_earlier_calibration(Scores((scores,), ()), with_ece).protocol
    assert new.scores == with_ece.scores and new.per_class == with_ece.per_class
    assert new.description == f"{scores.description}; {CALIBRATION}"
    assert with_earlier_calibration(Scores((scores,), ()), scores).protocol == scores


def test_a_folder_of_results_is_completed_and_others_are_left(compose, tmp_path, capsys):
    """Whatever has no predictions of its own is named and left as it is."""
    config, path = finished(compose, tmp_path, "segment", "labels")
    plain = replace(load_result(path), model="prior", run_id="ab" * 6, predictions=None)
    other = save_result(config.results, plain, load_cases(path))
    gone = replace(load_result(path), seed=5, run_id="cd" * 6)
    save_result(config.results, gone, load_cases(path))
    assert gallery.main(["discs/segment", *places(config)]) == 0
    told = capsys.readouterr()
    assert kept_path(path).is_file() and not kept_path(other).is_file()
    assert "runs/cdcdcdcdcdcd: no run of this result found" in told.err
    assert "left as it is: abababababab: expected stored predictions" in told.err


def test_kept_predictions_are_scored_as_an_external_row(compose, tmp_path, capsys):
    config, path = finished(compose, tmp_path, "segment")
    assert gallery.main([str(path), *places(config)]) == 0
    row = score_external(config, kept_path(path), "twin", strict=True)
    assert row.result.scores["dice"] == load_result(path).scores["dice"] and not row.missing
    assert kept_path(row.path).is_file()  # of an external row too
    assert why_not_kept(row.result) is None
    shutil.rmtree(config.runs)
    run = open_stored_run(row.result, row.path, config.runs, tmp_path / "data")
    assert run.score().protocol.scores["dice"] == row.result.scores["dice"]
