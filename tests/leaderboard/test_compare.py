"""usbench compare: from case tables alone; the union of cases by hand; results that can't be
compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.finished import finish, moved
from tests.helpers.paths import ROOT
from tests.leaderboard.test_leaderboard import make_result
from usbench.cli import compare, leaderboard
from usbench.io import console
from usbench.leaderboard import comparison
from usbench.leaderboard.build import build_rows
from usbench.metrics import paired
from usbench.metrics.bootstrap import draw
from usbench.results.format import format_with_interval
from usbench.results.result import Result
from usbench.results.store import load_cases, load_result, load_results, save_result


def row(case: str, label: str, *counts: int | str) -> dict[str, str]:
    return {
        "case": case,
        "class": label,
        "group": case,
        **dict(zip(("tp", "fp", "fn"), map(str, counts), strict=True)),
    }


def test_dice_of_cases_by_hand():
    """Image 1: target and prediction; 2: a false alarm; 3: neither; 4: nobody knows."""
    rows = [
        row("1", "a", 2, 1, 1),
        row("2", "a", 0, 9, 0),
        row("3", "a", 0, 0, 0),
        row("4", "a", "", "", ""),
    ]
    dice = comparison.dice_scores(rows)
    assert dice[:2].tolist() == [4 / 6, 0.0] and np.isnan(dice[2:]).all()


def test_seeds_of_a_model_by_hand():
    """Seed 2 of x fires on image 2, where seed 1 and y are silent.

    Alone, x scores 1 with seed 1 and (0 + 0) / 2 with seed 2. Beside y, image 2 counts for all.
    """
    tables = [
        [row("1", "a", 1, 0, 0), row("2", "a", 0, 0, 0)],
        [row("1", "a", 0, 0, 1), row("2", "a", 0, 3, 0)],
        [row("1", "a", 1, 1, 0), row("2", "a", 0, 0, 0)],
    ]
    first, second = comparison.measure_models("segment", ["x", "x", "y"], tables)
    draws = draw(["1", "2"])
    assert paired.score_model(first, draws) == 0.5
    assert paired.score_model(second, draws) == pytest.approx(2 / 3)
    (pair,) = paired.compare_models([first, second], draws)
    assert pair.value == pytest.approx((0.5 + 0.5) / 2 - (2 / 3 + 1) / 2)


def overpredict(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """A model that fires a pixel on everything besides what it finds."""
    return [{**each, "fp": str(int(each["fp"]) + 1)} for each in rows]


def test_a_third_model_that_overpredicts_changes_no_pair():
    """Its false alarms made every image count for the other two: a pair's difference shrank."""
    groups = [str(n // 4) for n in range(40)]
    present = [n % 4 == 0 for n in range(40)]
    near = [
        row(str(n), "a", *((8, 1, 1) if there else (0, 0, 0))) for n, there in enumerate(present)
    ]
    far = [
        row(str(n), "a", *((6, 3, 3) if there else (0, 0, 0))) for n, there in enumerate(present)
    ]
    two = comparison.measure_models("segment", ["near", "far"], [near, far])
    three = comparison.measure_models(
        "segment", ["near", "far", "third"], [near, far, overpredict(far)]
    )
    expected = comparison.compare_models(two, groups, True)
    actual = comparison.compare_models(three, groups, True)
    assert expected.pairs[0].value == pytest.approx(16 / 18 - 12 / 18)
    assert expected.pairs[0] == actual.pairs[0] and expected.models == actual.models[:2]


def test_only_points_count_among_landmarks():
    rows = [
        {"kind": "point", "error_px": "2"},
        {"kind": "curve", "error_px": "9"},
        {"kind": "point", "error_px": ""},
    ]
    assert (
        comparison.radial_errors(rows)[0] == 2
        and np.isnan(comparison.radial_errors(rows)[1:]).all()
    )


def stored_cases(path: Path) -> list[dict[str, str | None]]:
    """A result's case table, as it is saved again."""
    return [{name: value or None for name, value in row.items()} for row in load_cases(path)]


@pytest.fixture
def two(compose, tmp_path):
    """Paths of two results on the same phantom, predictions moved by 2 and by 9 px, under names of
    their own."""

    def made(task: str, dataset: str) -> list[str]:
        paths = []
        for name, by in (("near", 2), ("far", 9)):
            _, path = finish(
                compose,
                tmp_path / name,
                dataset,
                task,
                predict=lambda target, by=by: moved(target, by),
            )
            result = replace(load_result(path), model=name, series=None)
            paths.append(str(save_result(tmp_path / "results", result, stored_cases(path))))
        return paths

    return made


@pytest.mark.process
@pytest.mark.parametrize(
    ("task", "dataset"), [("segment", "usgra"), ("landmark", "unity"), ("detect", "usgra")]
)
def test_the_better_model_ranks_first(two, tmp_path, capsys, task, dataset):
    paths = two(task, dataset)
    assert compare.main([*paths[::-1], "--json", str(tmp_path / "out.json")]) == 0
    compared = json.loads((tmp_path / "out.json").read_text())
    assert [(model["name"], model["rank"]) for model in compared["models"]] == [
        ("near", [1, 1]),
        ("far", [2, 2]),
    ]
    (pair,) = compared["pairs"]
    assert (
        (pair["first"], pair["second"]) == ("near", "far")
        and pair["p"] < 0.05
        and pair["holm"] == pair["p"]
    )
    assert (pair["value"] > 0) == (task != "landmark") and pair["low"] <= pair["value"] <= pair[
        "high"
    ]
    output = capsys.readouterr().out
    assert (
        "is detected with 80 % probability" in output
        and "differ" in output
        and "near − far" in output
    )
    result = load_result(Path(paths[0]))
    if task != "segment":
        assert compared["models"][0]["value"] == pytest.approx(result.primary.value, rel=1e-6)


@pytest.mark.process
def test_a_model_and_itself_share_their_rank(two, tmp_path):
    paths = two("segment", "usgra")
    path = Path(paths[0])
    result = replace(load_result(path), model="twin")
    twin = save_result(tmp_path / "results", result, stored_cases(path))
    assert compare.main([paths[0], str(twin), "--json", str(tmp_path / "out.json")]) == 0
    compared = json.loads((tmp_path / "out.json").read_text())
    assert [model["rank"] for model in compared["models"]] == [[1, 2], [1, 2]] and compared[
        "pairs"
    ][0]["p"] == 1


@pytest.mark.process
def test_what_cannot_be_compared_is_refused_with_one_line(two, compose, tmp_path, capsys):
    paths = two("segment", "usgra")
    _, other = finish(compose, tmp_path / "kidney", "kidney", "segment")
    _, boxes = finish(compose, tmp_path / "boxes", "usgra", "detect")
    _, more = finish(compose, tmp_path / "more", "usgra", "segment", "dataset.phantom.seed=5")
    for arguments, code, says in (
        ([paths[0], str(other)], 1, "expected a result of dataset usgra, got kidney"),
        ([str(boxes), str(boxes)], 2, "expected at least two models"),
        ([paths[0], str(more)], 1, "got others"),
        ([paths[0]], 2, "expected at least two models"),
        ([paths[0], "0123456789ab"], 1, "got 0 results"),
    ):
        assert compare.main(arguments) == code
        output = capsys.readouterr().err
        assert says in output and output.count("\n") == 1, output


@pytest.mark.process
def test_the_leaderboard_has_ranks_from_the_same_comparison(two, tmp_path):
    near, far = (Path(path) for path in two("detect", "usgra"))
    folder, markdown_file = tmp_path / "board", tmp_path / "board" / "phantom" / "LEADERBOARD.md"

    def entered(source: Path, name: str, digit: str, table: bool = True, **changes: object) -> None:
        result = replace(load_result(source), model=name, run_id=digit * 12, **changes)
        if not table:
            result = replace(result, cases=None, cases_sha256=None)
        save_result(folder, result, stored_cases(source) if table else None)

    entered(near, "near", "a")
    entered(near, "twin", "b")
    entered(far, "far", "c")
    entered(near, "floor", "d", origin="baseline", seed=None)
    entered(near, "without", "e", table=False)
    assert (
        leaderboard.main(
            ["--results", str(folder), "--phantom", "--json", str(tmp_path / "b.json")]
        )
        == 0
    )
    rows = {
        row["name"]: row
        for row in json.loads((tmp_path / "b.json").read_text())["rows"]
        if row["reporting"]
    }
    ranks = {name: row["rank"] for name, row in rows.items()}
    assert ranks == {"near": [1, 2], "twin": [1, 2], "far": [3, 3], "floor": None, "without": None}
    text = markdown_file.read_text()
    assert (
        "| 1–2 of 3 | near" in text
        and "| 3 of 3 | far" in text
        and "p < .05 begins near a difference of .000 mAP50-95" in text
    )


SETTINGS = [  # series, epochs, seed, recipe
    ("a", 8, 0, "quick"),
    ("a", 8, 1, "quick"),
    ("b", 4, 0, "quick"),
    ("c", 4, 0, "standard"),
]


@pytest.fixture
def variants(tmp_path):
    """Paths of results of one model: two seeds, other epochs, another recipe."""
    path = min((ROOT / "results").glob("usgra/segment/unet-s0-*.json"))
    original, cases, paths = load_result(path), stored_cases(path), []
    for place, (series, epochs, seed, recipe) in enumerate(SETTINGS):
        model = {**original.config["model"], "recipe": {"epochs": epochs}}
        result = replace(
            original,
            config={**original.config, "model": model},
            series=series * 12,
            seed=seed,
            recipe=recipe,
            run_id=f"{place:012x}",
        )
        paths.append(save_result(tmp_path / "results", result, cases))
    return paths


def test_models_are_the_rows_of_the_leaderboard(variants, tmp_path):
    """Runs of 8 and of 4 epochs were taken for two seeds of one recipe, and their scores averaged."""
    results = load_results(tmp_path / "results")
    rows = [row.name for row in build_rows(results, []) if row.reporting]
    assert sorted(rows) == ["unet", "unet · epochs=4", "unet · epochs=8"]
    models = comparison.load_models(variants).models
    names = ["unet · epochs=8", "unet · epochs=4", "unet"]
    assert [model.name for model in models] == names
    assert [len(model.sums) for model in models] == [2, 1, 1]


def test_a_name_is_that_of_the_leaderboard_whatever_it_is_compared_with(variants):
    models = comparison.load_models([variants[2], variants[3]]).models
    assert [model.name for model in models] == ["unet · epochs=4", "unet"]


def test_rows_that_differ_in_their_recipe_have_it_in_their_name(variants):
    variants[2].unlink()
    models = comparison.load_models([variants[0], variants[1], variants[3]]).models
    assert [model.name for model in models] == ["unet · quick", "unet · standard"]


# ---- names of recipes


def recipe_result(epochs, seed=0, precision="bf16", **recipe):
    """A result of one model, whose recipe says more than a name can."""
    recipe = {"epochs": epochs, "lr": epochs / 10, "a": epochs, "b": -epochs, **recipe}
    config = {"model": {"name": "unet", "version": 1, "recipe": recipe}}
    series = f"{hash(str(recipe)) % 10**12:012}"
    content = make_result(config=config, seed=seed, precision=precision, series=series)
    return Result.from_json(content)


@pytest.mark.parametrize(
    ("results", "names"),
    [
        # They differ in epochs, lr, a and b: the epochs tell them apart.
        ([recipe_result(8), recipe_result(4)], ["unet · epochs=8", "unet · epochs=4"]),
        (
            [recipe_result(8), recipe_result(4), recipe_result(4, size=256)],
            [
                "unet · epochs=8 · size=none",
                "unet · epochs=4 · size=none",
                "unet · epochs=4 · size=256",
            ],
        ),
        # Both precisions of both seeds: each precision is a row.
        (
            [recipe_result(8, seed, kind) for kind in ("bf16", "fp32") for seed in (0, 1)],
            ["unet · precision=bf16"] * 2 + ["unet · precision=fp32"] * 2,
        ),
        ([recipe_result(8, 0, "bf16"), recipe_result(8, 1, "bf16")], ["unet", "unet"]),
    ],
)
def test_recipes_of_one_name_get_telling_names(results, names):
    assert comparison.model_names(results) == names


def test_recipes_that_few_values_do_not_tell_apart_have_their_run_id():
    """No three of these values tell all recipes apart."""
    values = [{name: int(name == other) for name in "cdefg"} for other in "cdefg"]
    results = [recipe_result(8, **recipe) for recipe in values]
    assert comparison.model_names(results) == [f"unet · {result.run_id}" for result in results]


# ---- what is left out


@pytest.mark.parametrize("words", [["usgra/segment"], ["usgra/segment/*-s[0-9]-*"]])
def test_what_cannot_be_compared_is_left_out_with_the_reason(variants, tmp_path, capsys, words):
    """One failed seed or damaged file ended it."""
    results = tmp_path / "results"
    failed = {"status": "failed", "reason": "the training loss is nan", "protocols": ()}
    original = load_result(variants[0])
    changes = {"cases": None, "cases_sha256": None, "primary": None, "validation": None}
    seed = save_result(results, replace(original, seed=7, run_id="7" * 12, **failed, **changes))
    other_data = replace(original.data, fingerprint="0" * 64)
    moved = replace(original, model="fpn", run_id="8" * 12, data=other_data)
    elsewhere = save_result(results, moved, stored_cases(variants[0]))
    variants[1].write_text("{")
    variants[3].with_name(load_result(variants[3]).cases).unlink()
    out = tmp_path / "out.json"
    assert compare.main([*words, "--results", str(results), "--json", str(out)]) == 0
    lines = capsys.readouterr().err.splitlines()
    expected = {
        seed: "expected a finished run, got one that failed: the training loss is nan",
        elsewhere: "got others",
        variants[1]: "got a damaged file",
        variants[3]: "expected the case table",
    }
    assert len(lines) == len(expected)
    for path, says in expected.items():
        (line,) = (line for line in lines if path.stem in line)
        assert line.startswith("left out: ") and says in line
    content = json.loads(out.read_text())
    assert [f"left out: {reason}" for reason in content["left_out"]] == lines
    models = {model["name"]: model["run_ids"] for model in content["models"]}
    assert models == {"unet · epochs=8": [f"{0:012x}"], "unet · epochs=4": [f"{2:012x}"]}
    assert [model["seeds"] for model in content["models"]] == [1, 1]


def test_what_most_results_share_is_compared(variants):
    """The first one is of other data: it doesn't decide."""
    original = load_result(variants[0])
    other = replace(original, data=replace(original.data, fingerprint="0" * 64))
    save_result(variants[0].parents[2], other, stored_cases(variants[0]))
    loaded = comparison.load_models(variants)
    assert len(loaded.models) == 3 and len(loaded.left_out) == 1
    assert f"{0:012x}.json: expected a result on the files of" in loaded.left_out[0]


def test_fewer_than_two_models_that_are_left_are_one_line(variants, capsys):
    variants[2].write_text("{")
    assert compare.main([str(variants[0]), str(variants[2])]) == 1
    error = capsys.readouterr().err
    assert error.startswith("expected at least two models, got one; left out: ")
    assert f"{2:012x}.json: expected a result as JSON" in error and error.count("\n") == 1


def test_other_cases_are_left_out(variants, tmp_path):
    result = load_result(variants[2])
    save_result(tmp_path / "results", result, stored_cases(variants[2])[:-2])
    loaded = comparison.load_models(variants)
    (reason,) = loaded.left_out
    assert f"expected the cases of {variants[0].name}, got others" in reason


def test_a_narrow_terminal_hides_columns_and_says_which(variants, monkeypatch, capsys):
    arguments = [str(variants[0]), str(variants[2])]
    hidden = []
    for width in (70, 140):
        terminal = console.PlainConsole(force_terminal=True, width=width, soft_wrap=True)
        monkeypatch.setattr(console, "out", terminal)
        assert compare.main(arguments) == 0
        hidden.append("not shown: p, 95 % (--json FILE writes all)" in capsys.readouterr().out)
    assert hidden == [True, False]


def test_the_leaderboard_counts_rows_and_hints_at_phantoms(variants, tmp_path, capsys):
    """It counted a row once for each protocol, and didn't say where phantoms' results are."""
    folder = tmp_path / "results"
    options = ["--results", str(folder), "--runs", str(tmp_path / "runs")]
    assert leaderboard.main(options) == 0
    assert ": 3 rows of ours, " in capsys.readouterr().out
    (folder / "phantom" / "usgra").mkdir(parents=True)
    (folder / "usgra" / "segment").rename(folder / "phantom" / "usgra" / "segment")
    assert leaderboard.main(options) == 0
    output = capsys.readouterr().out
    assert ": 0 rows of ours, " in output and "usbench leaderboard --phantom shows them" in output


def test_a_result_that_is_given_twice_is_one_model(variants, capsys):
    assert compare.main([str(variants[2])] * 2) == 2
    assert "expected at least two models, got one" in capsys.readouterr().err


def test_figures_are_written_as_on_the_leaderboard(variants, capsys):
    """It wrote 0.680 where every other table has .680."""
    assert compare.main([str(variants[0]), str(variants[2])]) == 0
    output = capsys.readouterr().out
    figure = load_result(variants[2]).scores["dice"]
    assert format_with_interval(figure, "dice").replace(" ", "") in output.replace(" ", "")
    assert " 0." not in output and "+0." not in output


def test_a_damaged_result_that_is_not_compared_does_not_matter(variants):
    variants[2].write_text("{")
    models = comparison.load_models([variants[0], variants[3]]).models
    assert [model.name for model in models] == ["unet · quick", "unet · standard"]


def test_blank_masks_are_compared_too(compose, tmp_path):
    """A model that finds nothing loses on every class that is there."""
    _, path = finish(compose, tmp_path, "usgra", "segment")
    rows = load_cases(path)
    silent = [{**r, "tp": "0", "fp": "0", "fn": str(int(r["tp"]) + int(r["fn"]))} for r in rows]
    first, second = comparison.measure_models("segment", ["a", "b"], [rows, silent])
    first, second = first.align(second)
    assert (first.counts == second.counts).all() and (first.sums >= second.sums).all()
