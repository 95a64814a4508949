"""Folds as one row: by hand, pooled and not, incomplete sets, several seeds, and what a result says
of its set."""

from __future__ import annotations

import csv
import hashlib
import io
import random
from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.drawn_boxes import random_pairs
from tests.helpers.finished import finish
from tests.leaderboard.test_leaderboard import markdown_of
from usbench.cli import leaderboard
from usbench.errors import DataError
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.cache import Cache
from usbench.leaderboard.csv_file import to_csv
from usbench.leaderboard.markdown import to_markdown
from usbench.leaderboard.pooling import pool_cases
from usbench.leaderboard.series import join_folds, pool_nothing
from usbench.metrics.detect_scorer import DetectScorer
from usbench.metrics.landmark_scorer import LandmarkScorer
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.results.result import Result
from usbench.results.store import load_cases, load_result, result_path, save_result
from usbench.runner.facts import result_facts
from usbench.runner.resolve import run_ids
from usbench.types import OFF, SEEN, Landmarks

SET = "f0" * 6


def figure(value, low=None, high=None, groups=2):
    method = None if low is None else "percentile"
    content = {"value": value, "low": low, "high": high, "method": method}
    return {**content, "n": 2, "groups": groups}


def rows(contents, pool=pool_nothing):
    """The leaderboard's rows of results as JSON."""
    return build_rows([Result.from_json(content) for content in contents], [], pool)


def save(folder, content, table):
    """Save a result as JSON with its case table; the result."""
    return load_result(save_result(folder, Result.from_json(content), table))


def make_result(fold, seed=0, value=0.5, of=3, model="unet", **changes):
    """A finished fold; its figures are of no case table."""
    run_id = hashlib.sha256(f"{fold} {seed} {model}".encode()).hexdigest()[:12]
    made = {
        "schema": 2,
        "dataset": "kidney",
        "task": "segment",
        "fold": fold,
        "trained_on": None,
        "origin": "run",
        "model": model,
        "recipe": "standard",
        "seed": seed,
        "run_id": run_id,
        "series": f"{fold + 1:012x}",
        "fold_series": SET,
        "status": "done",
        "reason": None,
        "protocol": {
            "name": "usbench",
            "version": 1,
            "description": f"foreground; at confidence .{fold}",
        },
        "primary": {"name": "dice", "value": value, "higher_is_better": True},
        "target_score": {"dice": figure(1.0), "iou": figure(1.0)},
        "scores": {"dice": figure(value), "iou": figure(value / 2), "ece": figure(0.1)},
        "per_class": {"a": {"dice": figure(value)}},
        "protocols": {
            "image-first": {
                "version": 1,
                "description": "w",
                "scores": {"dice": figure(value)},
                "per_class": {},
            }
        },
        "data": {
            "fingerprint": f"{fold:064x}",
            "counts": {"train": 2, "val": 2, "test": 2},
            "phantom": False,
        },
        "config": {
            "dataset": {"views": {"segment": {"classes": ["a"]}}, "split": {"folds": of}},
            "model": {"build": {"encoder": "resnet18"}},
        },
        "code": {"version": "0.1.0", "commit": None, "dirty": None},
        "machine": {},
        "seconds": {"fit": 3600.0},
        **changes,
    }
    return made


def case(name, group, tp, fp, fn):
    return {"case": name, "group": group, "class": "a", "tp": tp, "fp": fp, "fn": fn}


TABLES = [  # three folds of one, two and three cases: Dice 1 | .5, 0 | .8, .4, none
    [case("1", "p1", 5, 0, 0)],
    [case("2", "p2", 1, 1, 1), case("3", "p2", 0, 4, 2)],
    [case("4", "p3", 4, 2, 0), case("5", "p3", 1, 0, 3), case("6", "p4", 0, 0, 0)],
]


@pytest.fixture
def build(tmp_path):
    """Save folds with their tables, build the rows."""

    def made(*entries, cache=None):
        saved = [save(tmp_path, content, table) for content, table in entries]
        return build_rows(saved, [], pool_cases(tmp_path, cache or Cache()))

    return made


def folds(*numbers, **changes):
    return [(make_result(n, **changes), TABLES[n]) for n in numbers]


def lines(all_rows):
    return list(csv.DictReader(io.StringIO(to_csv(all_rows))))


# ---- by hand


def test_three_folds_pool_their_cases_and_not_their_means(build):
    """Dice of five cases: (1 + .5 + 0 + .8 + .4) / 5 = .54; the mean of the folds' is (1 + .25 +
    .6) / 3 = .617."""
    row = next(row for row in build(*folds(0, 1, 2)) if row.protocol == "usbench")
    assert row.value == pytest.approx(0.54) and row.per_class["a"].value == pytest.approx(0.54)
    assert (row.name, row.folds, row.pooled, row.seeds, row.fold) == (
        "unet · 3 folds",
        (3, 3),
        True,
        (0,),
        None,
    )
    assert (
        row.scores["dice"].groups == 3  # a fourth has the class nowhere
        and row.counts == {"test": 6}
        and row.training_hours == pytest.approx(3.0)
    )
    assert (
        "ece" not in row.scores
    )  # the tables don't hold it, and no mean stands among pooled figures
    assert row.description.startswith("foreground") and "confidence" not in row.description


def test_each_rule_averages_in_its_own_order(build):
    """Pixels of all cases: 2·11 / (2·11 + 7 + 6) = 22 / 35; image first: as usbench with one
    class."""
    pooled = {
        "pooled": {
            "version": 1,
            "description": "w",
            "scores": {"dice": figure(0.1)},
            "per_class": {},
        }
    }
    all_rows = {row.protocol: row for row in build(*folds(0, 1, 2, protocols=pooled))}
    assert all_rows["pooled"].value == pytest.approx(22 / 35) and all_rows["pooled"].pooled


def test_five_groups_give_an_interval_by_groups(build):
    tables = [[case(f"{n}{m}", f"p{n}{m}", 3 + n, m, 1) for m in range(3)] for n in range(3)]
    row = build(*((make_result(n), tables[n]) for n in range(3)))[0]
    scorer = SegmentScorer(["a"])
    for line in (line for table in tables for line in table):
        counts = np.array([[line["tp"], line["fp"], line["fn"]]])
        scorer.add_counts(line["case"], line["group"], counts, np.ones(1, bool), [{}])
    whole = scorer.result().protocol.scores["dice"]
    score = row.scores["dice"]
    assert (score.value, score.low, score.high) == pytest.approx(
        (whole.value, whole.low, whole.high)
    )
    assert score.low < score.value < score.high and score.se > 0
    assert "| 9 (SE ." in markdown_of([row], [])


def test_a_rule_that_tables_do_not_suffice_for_is_a_mean_and_says_so(build):
    protocols = {
        "kumar2025-cnn": {
            "version": 1,
            "description": "w",
            "scores": {"dice": figure(0.4)},
            "per_class": {},
        }
    }
    other = {
        "kumar2025-cnn": {
            "version": 1,
            "description": "w",
            "scores": {"dice": figure(0.7, 0.6, 0.8)},
            "per_class": {},
        }
    }
    all_rows = build(*folds(0, 1, protocols=protocols), *folds(2, protocols=other))
    row = next(row for row in all_rows if row.protocol == "kumar2025-cnn")
    assert row.value == pytest.approx(0.5) and not row.pooled
    assert row.scores["dice"].low is None and row.note == "mean over folds, not pooled"
    by_protocol = {line["protocol"]: line for line in lines(all_rows) if line["score"] == "dice"}
    assert (by_protocol["kumar2025-cnn"]["pooled"], by_protocol["usbench"]["pooled"]) == ("0", "1")
    assert by_protocol["kumar2025-cnn"]["folds"] == by_protocol["usbench"]["folds_done"] == "3"


def test_without_case_tables_it_is_a_mean_too():
    (row, *_) = rows([make_result(n, value=v) for n, v in enumerate((0.3, 0.6, 0.9))])
    assert (
        row.value == pytest.approx(0.6)
        and not row.pooled
        and row.note == "mean over folds, not pooled"
    )
    (row, *_) = rows(
        [
            make_result(0),
            make_result(1, scores={"iou": figure(0.1), "dice": {**figure(None), "reason": "x"}}),
        ]
    )
    assert row.value is None


def test_an_older_protocol_or_a_case_in_two_folds_is_not_pooled(build):
    old = {"protocol": {"name": "usbench", "version": 99, "description": "w"}}
    assert not build(*folds(0, 1, 2, **old))[0].pooled
    twice = [(make_result(n, seed=7), TABLES[0]) for n in range(3)]
    (row, *_) = [row for row in build(*twice) if row.seeds == (7,)]
    assert not row.pooled and row.note == "mean over folds, not pooled"


# ---- what is missing


def test_an_incomplete_set_says_so_stands_below_and_is_never_a_difference(build):
    whole = [(make_result(n, model="worse"), [case(str(n), f"p{n}", 1, 9, 9)]) for n in range(3)]
    all_rows = [row for row in build(*folds(0, 2), *whole) if row.protocol == "usbench"]
    assert [(row.name, row.folds) for row in all_rows] == [
        ("worse · 3 folds", (3, 3)),
        ("unet · 2 of 3 folds", (2, 3)),
    ]
    assert (
        all_rows[1].value == pytest.approx((1 + 0.8 + 0.4) / 3)
        and all_rows[1].value > all_rows[0].value
    )
    assert "| unet · 2 of 3 folds |" in markdown_of(all_rows, [])


def test_seeds_of_a_set_are_values_and_one_that_lacks_folds_is_said(build):
    """Seed 0: .54; seed 1 has the second fold all wrong: (1 + 0 + 0 + .8 + .4) / 5 = .44; seed 2
    lacks a fold."""
    wrong = [case("2", "p2", 0, 1, 1), case("3", "p2", 0, 4, 2)]
    second_seed = [(make_result(n, seed=1), wrong if n == 1 else TABLES[n]) for n in range(3)]
    (row, *_) = build(*folds(0, 1, 2), *second_seed, *folds(0, 1, seed=2))
    assert row.seeds == (0, 1) and row.seeds_begun == 3 and row.folds == (3, 3)
    assert row.scores["dice"].values == pytest.approx((0.54, 0.44))
    assert row.scores["dice"].sd == pytest.approx(0.1 / 2**0.5)
    assert "| 2 of 3 (SD .071) |" in markdown_of([row], [])
    (line,) = [line for line in lines([row]) if line["score"] == "dice"]
    assert (line["seeds"], line["seeds_done"], line["seeds_begun"]) == ("0 1", "2", "3")
    assert len(row.run_ids) == 6 and [len(part) for part in row.parts] == [3, 3]


def of_release(content):
    """A result whose release has folds and no other split."""
    config = {**content["config"]}
    config["dataset"] = {**config["dataset"], "split": {"folds": 3, "released_folds": True}}
    return {**content, "config": config}


def test_recipes_with_one_fold_of_the_release_stand_beside_the_others_on_that_fold(build):
    """Dice of the first fold is 1 for unet, 10 / 15 for worse."""
    worse = make_result(0, model="worse", fold_series="e0" * 6)
    entries = [*folds(0, 1, 2), *folds(0, seed=1), (worse, [case("1", "p1", 5, 5, 0)])]
    all_rows = build(*((of_release(content), table) for content, table in entries))
    reported = [row for row in all_rows if row.protocol == "usbench"]
    assert {(row.name, row.fold, row.folds, row.seeds) for row in reported} == {
        ("unet · 3 folds", None, (3, 3), (0,)),
        ("unet · fold 0", 0, None, (0, 1)),
        ("worse · fold 0", 0, None, (0,)),
    }
    by_name = {row.name: row for row in reported}
    assert by_name["unet · 3 folds"].seeds_begun == by_name["unet · fold 0"].seeds_begun == 2
    assert by_name["unet · 3 folds"].value == pytest.approx(0.54)


def test_one_fold_of_ours_where_the_release_has_a_split_is_an_incomplete_set(build):
    (row,) = [row for row in build(*folds(0)) if row.protocol == "usbench"]
    assert row.name == "unet · 1 of 3 folds" and not row.has_all_folds


def test_a_failed_fold_counts_towards_the_seeds(build):
    failed = make_result(
        1,
        seed=3,
        status="failed",
        reason="killed",
        protocol=None,
        primary=None,
        scores={},
        per_class={},
    )
    all_rows = build(*folds(0, 1, 2), (failed, None))
    assert all_rows[0].seeds_begun == 2 and [row.status for row in all_rows] == [
        "done",
        "done",
        "failed",
    ]
    assert "| 1 of 2 |" in markdown_of(all_rows[:1], []) and all_rows[-1].name == "unet · fold 1"


def test_a_fold_that_is_there_twice_is_an_error():
    with pytest.raises(DataError, match="each fold of a seed once"):
        join_folds(map(Result.from_json, [make_result(0), {**make_result(0), "run_id": "0" * 12}]))


def test_results_that_name_no_set_stay_rows_of_their_own():
    alone = [
        {name: value for name, value in make_result(n).items() if name != "fold_series"}
        for n in (0, 1)
    ]
    all_rows = [row for row in rows(alone) if row.protocol == "usbench"]
    assert sorted(row.name for row in all_rows) == ["unet · fold 0", "unet · fold 1"]


def test_the_fixed_split_and_its_folds_are_two_rows(build):
    fixed = {**make_result(0), "fold": None, "series": SET, "run_id": "a" * 12}
    del fixed["fold_series"]
    all_rows = build((fixed, TABLES[0]), *folds(0, 1, 2))
    assert sorted(row.name for row in all_rows if row.protocol == "usbench") == [
        "unet",
        "unet · 3 folds",
    ]


def test_the_order_of_results_changes_no_byte(tmp_path):
    every = []
    for model in ("unet", "fpn"):
        for seed in (0, 1):
            every += [(make_result(n, seed, model=model), TABLES[n]) for n in range(3 - seed)]
    every = [save(tmp_path, *pair) for pair in every]
    texts = set()
    for seed in range(5):
        mixed = random.Random(seed).sample(every, len(every))
        all_rows = build_rows(mixed, [], pool_cases(tmp_path, Cache()))
        texts.add((to_markdown(all_rows, []), to_csv(all_rows)))
    assert len(texts) == 1


# ---- pooled is the same as scored together


def packed(folder, task, protocol, tables, classes):
    """Folds with their tables as results; the rows of them."""
    view = {name: {**figure(f.value), "reason": "x"} for name, f in protocol.scores.items()}
    made = []
    for fold, table in enumerate(tables):
        config = make_result(0)["config"] | {
            "dataset": {"views": {task: {"classes": classes}}, "split": {"folds": 3}}
        }
        primary = {"detect": "map50_95", "landmark": "mre_px"}[task]
        content = make_result(
            fold,
            task=task,
            config=config,
            scores=view,
            per_class=dict.fromkeys(classes, view),
            protocols={},
        )
        content |= {
            "protocol": {"name": protocol.name, "version": protocol.version, "description": "w"},
            "target_score": {},
        }
        content["primary"] = {
            "name": primary,
            "value": view[primary]["value"],
            "higher_is_better": task == "detect",
        }
        made.append(save(folder, content, table))
    return build_rows(made, [], pool_cases(folder, Cache()))[0]


def same(row, protocol, names):
    for name in names:
        expected, score = protocol.scores[name], row.scores[name]
        assert score.value == pytest.approx(expected.value, abs=1e-7), name
        if expected.low is not None:
            assert (score.low, score.high) == pytest.approx(
                (expected.low, expected.high), abs=1e-6
            ), name


def test_average_precision_is_of_the_matches_of_all_cases(tmp_path):
    """Twelve images in three folds score as the twelve together, not as the mean of three mAPs."""
    pairs, classes = random_pairs(3, 12), ["a", "b", "none"]
    scorers = [DetectScorer(classes) for _ in range(4)]
    for n, (target, prediction) in enumerate(pairs):
        for scorer in (scorers[n // 4], scorers[3]):
            scorer.update(f"i{n}", f"g{n // 2}", target, prediction)
    done = [scorer.result() for scorer in scorers]
    whole = done[3].protocol
    row = packed(tmp_path, "detect", whole, [each.cases for each in done[:3]], classes)
    same(row, whole, ["map50_95", "map50", "map75", "ar1", "ar10", "ar100"])
    assert row.value != pytest.approx(
        np.mean([each.protocol.scores["map50_95"].value for each in done[:3]])
    )
    assert "f1" not in row.scores and "map_small" not in row.scores


def test_landmarks_count_every_point_once(tmp_path):
    rng, names = np.random.default_rng(0), ["apex", "wall"]
    scorers = [LandmarkScorer(names) for _ in range(4)]
    for n in range(12):
        state = np.array([SEEN, OFF if n % 3 else SEEN], np.int64)
        wall = (
            rng.uniform(0, 90, (4, 2)) if n >= 4 else rng.uniform(0, 90, (1, 2))
        )  # a curve in two folds of three
        paths = tuple(path.astype(np.float32) for path in (rng.uniform(0, 90, (1, 2)), wall))
        target = Landmarks(
            tuple(p if s == SEEN else p[:0] for p, s in zip(paths, state, strict=True)), state
        )
        prediction = Landmarks(
            tuple(p + np.float32(n) for p in paths), state, rng.uniform(0, 1, 2).astype(np.float32)
        )
        for scorer in (scorers[n // 4], scorers[3]):
            scorer.update(f"i{n}", f"g{n}", target, prediction, (100, 120))
    done = [scorer.result() for scorer in scorers]
    whole = done[3].protocol
    row = packed(tmp_path, "landmark", whole, [each.cases for each in done[:3]], names)
    same(
        row,
        whole,
        [
            "mre_px",
            "median_re_px",
            "sd_re_px",
            "sdr_px_4",
            "mre_diag",
            "curve_mean_px",
            "presence_auroc",
        ],
    )
    assert not {"presence_f1", "false_presence"} & set(row.scores)


# ---- what a run's result says


@pytest.mark.process
def test_folds_of_one_run_name_one_set_and_other_runs_another(compose, tmp_path):
    """The whole way: three folds of a phantom, scored, saved, pooled, ranked beside another
    model's."""
    overrides = ("dataset.split.folds=3",)
    made = [
        finish(compose, tmp_path, "phantom", "segment", *overrides, f"fold={n}") for n in range(3)
    ]
    results = [load_result(path) for _, path in made]
    assert {result.fold_series for result in results} == {made[0][0].fold_series}
    assert len({result.series for result in results}) == 3
    assert result_facts(made[2][0]).fold_series == results[0].fold_series
    other_words = ("dataset.split.folds=4", "fold=1")
    _, other = finish(compose, tmp_path / "b", "phantom", "segment", *other_words)
    _, plain = finish(compose, tmp_path / "c", "phantom", "segment")
    assert load_result(other).fold_series != results[0].fold_series
    assert load_result(plain).fold_series is None
    for result in results:
        path = result_path(tmp_path / "results", result)
        cases = [{k: v or None for k, v in line.items()} for line in load_cases(path)]
        twin = replace(result, model="twin", run_id=result.run_id[::-1])
        save_result(tmp_path / "results", twin, cases)
    folder = tmp_path / "results"
    assert (
        leaderboard.main(["--results", str(folder), "--runs", str(tmp_path / "runs"), "--phantom"])
        == 0
    )
    csv_lines = list(csv.DictReader((folder / "phantom" / "LEADERBOARD.csv").open()))
    by_row = {
        (line["name"], line["protocol"]): line for line in csv_lines if line["score"] == "dice"
    }
    row = by_row["unet · 3 folds", "usbench"]
    assert (row["folds"], row["pooled"], row["seeds_done"], row["ranked"]) == ("3", "1", "1", "2")
    assert (row["rank_first"], row["rank_last"]) == ("1", "2")
    cases = {line["case"] for result in results for line in load_cases(result_path(folder, result))}
    assert len(cases) == sum(result.data.counts["test"] for result in results)


def test_a_fold_has_a_series_of_its_own_and_its_set_s(compose, tmp_path):
    overrides = ("dataset.split.folds=3", "fold=1")
    config, path = finish(compose, tmp_path, "phantom", "segment", *overrides)
    result = load_result(path)
    assert run_ids(config)[0] == result.series == config.series
    assert result.fold_series == config.fold_series != result.series
