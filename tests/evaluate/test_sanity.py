"""Baselines: little pictures with answers by hand, and the check over every dataset × task."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.finished import MODELS
from tests.helpers.written import TRAINABLE, with_slow
from usbench.cli import sanity as script
from usbench.evaluate import baselines, sanity
from usbench.leaderboard.build import build_rows
from usbench.metrics import mask_protocols
from usbench.metrics.ratios import ratio
from usbench.results.store import load_results
from usbench.types import BLURRED, OFF, SEEN, Boxes, Landmarks, Masks, Sample


def sample(target, group="g", size=(4, 6), name="1"):
    return Sample(name, group, np.zeros(size, np.uint8), target)


def masks(*places: tuple[slice, slice], size=(4, 6)) -> Masks:
    planes = np.zeros((len(places), *size), bool)
    for plane, place in zip(planes, places, strict=True):
        plane[place] = True
    return Masks(planes)


def boxes(*rows: tuple[float, ...]) -> Boxes:
    return Boxes(
        np.array([row[:4] for row in rows], np.float32),
        np.array([row[4] for row in rows], np.int64),
    )


def marks(*points: tuple[float, float] | None) -> Landmarks:
    paths = tuple(
        np.zeros((0, 2), np.float32) if p is None else np.array([p], np.float32) for p in points
    )
    return Landmarks(paths, np.array([OFF if p is None else SEEN for p in points], np.int8))


def test_a_mirror_image_by_hand():
    left = masks(np.s_[0:2, 0:2])
    assert np.array_equal(
        baselines.predict_flipped(sample(left)).planes, masks(np.s_[0:2, 4:6]).planes
    )
    assert baselines.predict_flipped(sample(boxes((0, 1, 2, 3, 0)))).xyxy.tolist() == [[4, 1, 6, 3]]
    assert baselines.predict_flipped(sample(marks((0, 3), None))).paths[0].tolist() == [[5, 3]]


def test_everything_and_nothing_by_hand():
    first = sample(masks(np.s_[0:2, 0:2], np.s_[0:0, 0:0]))
    assert (
        baselines.predict_everything(first).planes.all()
        and not baselines.predict_nothing(first).planes.any()
    )
    two = sample(boxes((0, 1, 2, 3, 1), (0, 0, 1, 1, 1)))
    assert baselines.predict_everything(two).xyxy.tolist() == [
        [0, 0, 6, 4]
    ] and baselines.predict_everything(two).labels.tolist() == [1]
    assert len(baselines.predict_nothing(two).labels) == 0
    assert baselines.predict_nothing(sample(marks((0, 3), None))).paths[1].tolist() == [[2.5, 1.5]]


def test_another_image_s_target_is_of_another_group_and_of_this_size():
    first = sample(masks(np.s_[0:2, 0:3]), "a")
    twin = sample(masks(np.s_[0:4, 0:6]), "a")
    other = sample(masks(np.s_[4:8, 6:12], size=(8, 12)), "b", (8, 12))
    predictions = [
        prediction.planes for prediction in baselines.predict_shuffled([first, twin, other])
    ]
    assert np.array_equal(predictions[0], masks(np.s_[2:4, 3:6]).planes) and np.array_equal(
        predictions[0], predictions[1]
    )
    assert np.array_equal(predictions[2], masks(np.s_[0:4, 0:6], size=(8, 12)).planes)
    box = [sample(boxes((0, 0, 3, 2, 0)), "a"), sample(boxes((0, 0, 12, 8, 0)), "b", (8, 12))]
    assert [prediction.xyxy.tolist() for prediction in baselines.predict_shuffled(box)] == [
        [[0, 0, 6, 4]],
        [[0, 0, 6, 4]],
    ]
    assert not next(iter(baselines.predict_shuffled([first]))).planes.any()


def test_the_prior_of_masks_is_where_a_class_is_likeliest_over_its_mean_area():
    train = [
        sample(masks(np.s_[0:4, 0:3])),
        sample(masks(np.s_[0:2, 0:3])),
    ]  # 12 and 6 of 24 pixels: 9, the first 6 surely
    made = baselines.fit_baselines(train, "segment", exclusive=False)
    prior = made["prior"](train[0]).planes[0]
    assert prior[0:2, 0:3].all() and not prior[:, 3:].any()
    assert (
        not made["mean"](train[0]).planes[0, 2:].any()
        and made["mean"](train[0]).planes[0, 0:2, 0:3].all()
    )


def test_exclusive_classes_share_no_pixel_in_the_prior():
    train = [
        sample(masks(np.s_[0:4, 0:3], np.s_[0:4, 3:6])),
        sample(masks(np.s_[0:4, 0:4], np.s_[0:4, 4:6])),
    ]
    planes = baselines.fit_baselines(train, "segment", exclusive=True)["prior"](train[0]).planes
    assert planes.sum(axis=0).max() == 1 and planes.any(axis=(1, 2)).all()


def test_the_prior_of_boxes_and_landmarks_is_the_mean_in_fractions_of_the_sides():
    train = [
        sample(boxes((0, 0, 3, 2, 1))),
        sample(boxes((0, 0, 12, 8, 1)), size=(8, 12)),
        sample(boxes((0, 0, 6, 4, 0))),
    ]
    prior = baselines.fit_baselines(train, "detect", False)["prior"](
        sample(Boxes.empty(), size=(40, 60))
    )
    assert prior.labels.tolist() == [0, 1] and prior.scores.tolist() == pytest.approx(
        [1 / 3, 2 / 3]
    )
    assert np.allclose(prior.xyxy, [[0, 0, 60, 40], [0, 0, 45, 30]])  # label 1: a half and a whole
    seen = [sample(marks((0, 0), None)), sample(marks((3, 2), (3, 2)))]
    prediction = baselines.fit_baselines(seen, "landmark", False)["prior"](
        sample(marks(None, None), size=(40, 60))
    )
    assert prediction.paths[0].tolist() == [[15, 10]] and prediction.paths[1].tolist() == [[30, 20]]
    assert prediction.scores.tolist() == [1, 0.5]


def test_the_prior_of_a_curve_is_the_mean_of_places_evenly_along_it():
    lines = [
        Landmarks((np.array([[0, y], [1, y], [5, y]], np.float32),), np.array([SEEN], np.int8))
        for y in (0, 2)
    ]
    prediction = baselines.fit_baselines([sample(line) for line in lines], "landmark", False)[
        "prior"
    ](sample(lines[0]))
    path = prediction.paths[0]
    assert len(path) == baselines.KNOTS and np.allclose(path[:, 1], 1, atol=1e-5)
    assert np.allclose(path[:, 0], np.linspace(0, 5, baselines.KNOTS), atol=0.02)


def test_blurred_targets_are_no_absence_in_the_prior():
    blurred = Landmarks((np.zeros((0, 2), np.float32),), np.array([BLURRED], np.int8))
    prediction = baselines.fit_baselines(
        [sample(marks((1, 1))), sample(blurred)], "landmark", False
    )["prior"](sample(blurred))
    assert prediction.scores.tolist() == [1]


def arguments(view: tuple[str, str], folder: Path) -> list[str]:
    size = ["dataset.phantom.size=[96,128]", "dataset.phantom.per_group=1"]
    counts = [
        "dataset.phantom.counts.train=24",
        *(["dataset.split.gap=1"] if view[0] == "nnus" else []),
    ]
    where = [f"runs={folder}/runs", f"results={folder}/results", "source=phantom", "device=cpu"]
    return [f"dataset={view[0]}", f"task={view[1]}", *size, *counts, *where]


@pytest.mark.simulate
@pytest.mark.parametrize("view", with_slow(*TRAINABLE))
def test_every_baseline_scores_what_it_must(view, tmp_path, capsys):
    assert script.main([*arguments(view, tmp_path), "--json", str(tmp_path / "out.json")]) == 0, (
        capsys.readouterr().out
    )
    facts = json.loads((tmp_path / "out.json").read_text())["baselines"]
    assert [fact["baseline"] for fact in facts] == list(baselines.NAMES[view[1]]) and all(
        fact["passed"] for fact in facts
    )
    results = load_results(tmp_path / "results", phantom=True)
    blank = "centre" if view[1] == "landmark" else "blank"
    assert {result.model for result in results} == {"prior", blank}
    assert all(row.origin == "baseline" for row in build_rows(results, []))
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.*")}
    assert script.main(arguments(view, tmp_path)) == 0
    assert {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.*")} == before


@pytest.mark.simulate
def test_a_broken_protocol_is_noticed(tmp_path, monkeypatch, capsys):
    """A Dice that forgets the factor 2: the target no longer reaches 1."""
    rule = mask_protocols.MASK_PROTOCOLS["usbench"]
    halved = replace(rule, dice=lambda c: ratio(c[..., 0], 2 * c[..., 0] + c[..., 1] + c[..., 2]))
    target_score = replace(rule)
    plain = mask_protocols.score_counts

    def apply(rule, table, classes, known=None, draws=None):
        made = plain(halved if rule.name == "usbench" else rule, table, classes, known, draws)
        return replace(
            made,
            target_score=plain(
                target_score if rule.name == "usbench" else rule, table, classes, known
            ).target_score,
        )

    monkeypatch.setattr(mask_protocols, "score_counts", apply)
    assert script.main(arguments(("usgra", "segment"), tmp_path)) == 1
    output = capsys.readouterr().out
    assert (
        "NO" in output and "not usbench dice" in output and "don't score what they must" in output
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "expected dataset="),
        (["dataset=usgra", "task=landmark"], "task=landmark: expected one of segment, detect"),
    ],
)
def test_wrong_arguments_are_refused_with_one_line(given, says, capsys):
    assert script.main(given) == 2
    output = capsys.readouterr().err
    assert says in output and output.count("\n") == 1


def test_each_task_has_a_model_to_name_it():
    assert script.MODELS == MODELS and set(sanity.PROTOCOLS) == set(baselines.NAMES)
