"""What a leaderboard saves of its paired tests: the same bytes with and without it, no table
opened, damage noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.leaderboard.test_leaderboard import make_result
from usbench.cli import leaderboard
from usbench.leaderboard import cache, comparison, ranking
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.cache import Cache
from usbench.results import store
from usbench.results.result import Result


def drawn(skill):
    """A case table of twelve groups: a better model's overlap is larger."""
    rng = np.random.default_rng(int(100 * skill))
    rows = []
    for n in range(24):
        hit = int(1000 * (skill + rng.uniform(0, 0.1)))
        rows.append(
            {
                "case": f"i{n}",
                "group": f"g{n // 2}",
                "class": "a",
                "tp": hit,
                "fp": 9 * n,
                "fn": 1000 - hit,
            }
        )
    return rows


@pytest.fixture
def place(tmp_path):
    """Options for a leaderboard of three models on one phantom."""
    phantom = {**make_result()["data"], "phantom": True}
    for n, skill in enumerate((0.7, 0.5, 0.3)):
        made_up = make_result(skill, model=f"by{n}", data=phantom, recipe=f"{n:012x}")
        store.save_result(tmp_path / "results", Result.from_json(made_up), drawn(skill))
    return ["--results", str(tmp_path / "results"), "--runs", str(tmp_path / "runs"), "--phantom"]


def build_files(place: list[str]) -> list[bytes]:
    """The leaderboard's files after it was made once more."""
    assert leaderboard.main(place) == 0
    folder = Path(place[1]) / "phantom"
    return [(folder / f"LEADERBOARD.{kind}").read_bytes() for kind in ("md", "csv")]


def cache_file(place: list[str]) -> Path:
    return Path(place[3]) / "cache" / "leaderboard-phantom.json"


def test_a_cached_leaderboard_has_the_same_bytes_and_opens_no_table(place, monkeypatch):
    first = build_files(place)
    text = cache_file(place).read_text()
    assert len(json.loads(text)["entries"]) == 3  # pairs
    monkeypatch.setattr(store, "read_cases", lambda *_: pytest.fail("a case table was opened"))
    assert build_files(place) == first and cache_file(place).read_text() == text
    assert not [path for path in Path(place[1]).rglob("*") if "cache" in path.name]


def test_without_the_cache_the_bytes_are_the_same(place):
    first = build_files(place)
    cache_file(place).unlink()
    assert build_files(place) == first and cache_file(place).is_file()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1]",
        lambda text: text.replace('"p":0.', '"p":0.9', 1),
        lambda text: json.dumps({"entries": {}}),
    ],
)
def test_a_damaged_file_is_one_line_ignored_and_written_anew(place, damage, capsys):
    first = build_files(place)
    text = cache_file(place).read_text()
    cache_file(place).write_text(damage(text))
    capsys.readouterr()
    assert build_files(place) == first
    output = capsys.readouterr().err
    assert "damaged" in output and output.count("\n") == 1 and str(cache_file(place)) in output
    assert cache_file(place).read_text() == text


def test_other_code_forgets_it_without_a_word(place, monkeypatch, capsys):
    first = build_files(place)
    before = json.loads(cache_file(place).read_text())
    monkeypatch.setattr(cache, "hash_code", lambda: "other")
    capsys.readouterr()
    assert build_files(place) == first and capsys.readouterr().err == ""
    after = json.loads(cache_file(place).read_text())
    assert after["code"] == "other" and after["entries"] == before["entries"]


def test_another_table_is_another_pair_and_what_is_gone_is_forgotten(place):
    build_files(place)
    path = sorted(Path(place[1]).rglob("*.json"))[0]
    cases = [{k: v or None for k, v in row.items()} for row in store.load_cases(path)]
    before = set(json.loads(cache_file(place).read_text())["entries"])
    store.save_result(
        Path(place[1]),
        store.load_result(path),
        [{**row, "tp": 1 if row["tp"] else None} for row in cases],
    )
    build_files(place)
    after = set(json.loads(cache_file(place).read_text())["entries"])
    assert len(after) == 3 and len(after & before) == 1  # the pair of the other two


def test_a_table_that_was_changed_by_hand_is_an_error_all_the_same(place, capsys):
    build_files(place)
    table = sorted(Path(place[1]).rglob("*.cases.csv.gz"))[0]
    table.write_bytes(table.read_bytes() + b"x")
    assert leaderboard.main(place) == 1 and "isn't the table" in capsys.readouterr().err
    table.unlink()
    assert leaderboard.main(place) == 1 and "got no whole file" in capsys.readouterr().err


def test_check_writes_nothing(place):
    build_files(place)
    cache_file(place).unlink()
    assert leaderboard.main([*place, "--check"]) == 0 and not cache_file(place).exists()


def test_a_folder_that_cannot_be_written_costs_a_warning(place, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert leaderboard.main([*place[:3], str(tmp_path / "file"), "--phantom"]) == 0
    output = capsys.readouterr().err
    assert "can't be saved" in output and output.count("\n") == 1


def test_ranks_are_those_of_a_comparison(place):
    """What usbench compare says of the same results."""
    folder = Path(place[1])
    results = store.load_results(folder, phantom=True)
    rows, (tests,) = ranking.compare_rows(build_rows(results, []), results, folder)
    loaded = comparison.load_models([store.result_path(folder, result) for result in results])
    compared = comparison.compare_models(loaded.models, loaded.groups, True)
    ranked = {row.name: row for row in rows if row.rank}
    assert {row.model: row.rank for row in ranked.values()} == dict(
        zip(compared.models, compared.ranks, strict=True)
    )
    assert {row.resolution for row in ranked.values()} == {compared.pairs[0].resolution}
    assert {row.significant_from for row in ranked.values()} == {compared.pairs[0].significant_from}
    assert {row.compared_groups for row in ranked.values()} == {compared.groups}
    assert [(pair.value, pair.low, pair.high, pair.corrected_p) for pair in tests.pairs] == [
        (pair.value, pair.low, pair.high, holm)
        for pair, holm in zip(compared.pairs, compared.corrected, strict=True)
    ]


def test_an_older_version_of_an_adapter_has_no_rank(place):
    folder = Path(place[1])
    results = store.load_results(folder, phantom=True)
    rows = ranking.rank_rows(build_rows(results, []), results, folder)
    assert {row.ranked for row in rows if row.rank} == {3}
    first = next(row for row in rows if row.rank)
    old = [replace(row, old_version=row is first) for row in rows]
    again = ranking.rank_rows([replace(row, rank=None) for row in old], results, folder)
    assert not next(row for row in again if row.old_version).rank
    assert {row.ranked for row in again if row.rank} == {2}


def test_what_an_interrupted_leaderboard_computed_is_saved(place, monkeypatch):
    build_files(place)
    run_tests = ranking.run_tests
    cache_file(place).unlink()

    def interrupted(*arguments):
        yield next(run_tests(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(ranking, "run_tests", interrupted)
    assert leaderboard.main(place) == 130
    assert len(json.loads(cache_file(place).read_text())["entries"]) == 1


def test_only_what_was_asked_for_stays(tmp_path):
    first = Cache(tmp_path / "c.json")
    first.put("a", {"p": 0.1 + 0.2})
    first.put("b", [1, None])
    first.save()
    second = Cache(tmp_path / "c.json")
    assert second.get("a") == {"p": 0.1 + 0.2} and second.get("z") is None
    second.save()
    assert list(json.loads((tmp_path / "c.json").read_text())["entries"]) == ["a"]
    assert np.isfinite(Cache(tmp_path / "c.json").get("a")["p"])
