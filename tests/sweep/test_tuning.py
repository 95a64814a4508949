"""A search by the real command: what steers it, what a kill leaves, the best trial's values."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import lab
from usbench.leaderboard.agreement import find_marks
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.markdown import to_markdown
from usbench.leaderboard.rows import Row
from usbench.results import store as results
from usbench.results.result import Result

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="usbench[sweep] isn't installed")
LEVEL = "model.recipes.quick.level"
SEARCH = (
    "sweep=tune",
    "study=levels",
    "model=works",
    f"++{LEVEL}=interval(40,90)",
    "hydra.sweeper.n_trials=3",
)


def asked(folder: Path, query: str) -> list[Any]:
    """An answer of the study's own database."""
    with sqlite3.connect(folder / "runs" / "optuna.db") as base:
        return base.execute(query).fetchall()


def trials(folder: Path) -> list[tuple[str, float | None, float | None]]:
    """(state, figure, level) of every trial, in order."""
    return asked(
        folder,
        "select t.state, v.value, p.param_value "
        "from trials t left join trial_values v using (trial_id) "
        "left join trial_params p using (trial_id) order by t.number",
    )


def fits(folder: Path) -> list[str]:
    """The key of each training that was begun."""
    path = folder / "fits.txt"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def read_results(where: Path) -> list[dict[str, Any]]:
    return [result.to_json() for result in results.load_results(where, phantom=True)]


def until(condition: Any) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> tuple[Path, str, int]:
    """(folder, stdout of the end, exit code) of a search killed in its second trial and resumed."""
    folder = lab.make(tmp_path_factory.mktemp("searched"), "works", "other")
    log = {"FAKE_LOG": str(folder / "fits.txt")}
    slow = lab.command(*SEARCH, "++model.recipes.quick.seconds=0.7")
    first = subprocess.Popen(slow, cwd=folder, env={**os.environ, **log}, stdout=subprocess.DEVNULL)
    until(lambda: len(fits(folder)) == 2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert [trial[0] for trial in trials(folder)] == ["COMPLETE", "RUNNING"]
    code, out, err = lab.usbench(folder, *SEARCH, "++model.recipes.quick.seconds=0.7", **log)
    assert code == 0, err
    return folder, out, code


@pytest.mark.process
def test_a_killed_search_goes_on_and_repeats_the_trial_it_was_at(searched):
    folder, out, _ = searched
    assert "1 of 3 trials are done" in out and "3 of 3 trials done, 0 failed" in out
    first, killed, repeated, last = trials(folder)
    assert [first[0], killed[0], repeated[0], last[0]] == [
        "COMPLETE",
        "FAIL",
        "COMPLETE",
        "COMPLETE",
    ]
    assert killed[2] == repeated[2] and len({first[2], repeated[2], last[2]}) == 3
    begun = fits(folder)
    assert begun[1] == begun[2] and len(set(begun)) == 3


@pytest.mark.process
def test_a_finished_search_starts_nothing_and_says_what_was_best(searched):
    folder, _, _ = searched
    before, before_trials = fits(folder), trials(folder)
    code, out, err = lab.usbench(folder, *SEARCH, "++model.recipes.quick.seconds=0.7")
    best = max(
        (trial for trial in before_trials if trial[0] == "COMPLETE"), key=lambda trial: trial[1]
    )
    assert (
        code == 0 and "3 of 3 trials done" in out and f"{best[1]:.4f} with {LEVEL}={best[2]}" in out
    ), err
    assert fits(folder) == before and trials(folder) == before_trials
    assert not list((folder / "runs").rglob("*.lock*"))


@pytest.mark.process
def test_a_study_knows_validation_alone(searched):
    folder, out, _ = searched
    made = read_results(folder / "runs" / "tuning" / "levels")
    seen = {result["config"]["model"]["recipe"]["level"]: result for result in made}
    done = [trial for trial in trials(folder) if trial[0] == "COMPLETE"]
    assert len(made) == len(done) == 3
    for _, figure, level in done:
        assert figure == seen[level]["validation"]["value"]
        assert figure != seen[level]["primary"]["value"]  # else nothing here would tell them apart
    dumped = json.dumps(
        [asked(folder, f"select * from {name}") for (name,) in asked(folder, TABLES)]
    )
    for result in made:
        assert repr(result["validation"]["value"]) in dumped
        assert (
            repr(result["primary"]["value"]) not in dumped
            and f"{result['primary']['value']:.3f}" not in out
        )
    assert "test," not in out


TABLES = "select name from sqlite_master where type = 'table'"


@pytest.mark.process
def test_trials_are_off_the_leaderboard(searched):
    folder, _, _ = searched
    assert not any(result["seed"] == 0 for result in read_results(folder / "results"))
    assert not (folder / "runs" / "mlflow.db").exists()


@pytest.mark.process
def test_the_best_trial_with_fresh_seeds(searched):
    folder, _, _ = searched
    code, out, err = lab.usbench(folder, "-m", "tuned=levels", "model=works", "seed=1,2")
    assert code == 0 and "2 runs: 2 done" in out, err
    code, out, err = lab.usbench(folder, "tuned=levels", "model=works", "seed=2")
    assert code == 0 and "done already" in out, err
    code, _, err = lab.usbench(folder, "model=works", "seed=1")
    assert code == 0, err
    _, value, level = max(
        (trial for trial in trials(folder) if trial[0] == "COMPLETE"), key=lambda trial: trial[1]
    )
    made = read_results(folder / "results")
    said = {
        "study": "levels",
        "trials": 3,
        "failed": 0,
        "value": value,
        "values": {LEVEL: level},
        "seeds": [0],
    }
    assert [result.get("tuned") for result in made if result["seed"] == 2] == [said]
    tuned = [result for result in made if "tuned" in result]
    assert sorted(result["seed"] for result in tuned) == [1, 2] and len(made) == 3
    assert {result["config"]["model"]["recipe"]["level"] for result in tuned} == {level}
    assert len({result["series"] for result in made}) == 2
    rows = build_rows([Result.from_json(result) for result in made], [])
    rows_by_name = {
        row.name.partition(" · ")[2].partition(" · ")[0]: row
        for row in rows
        if row.protocol == "usbench"
    }
    assert (
        rows_by_name["tuned"].seeds == (1, 2)
        and "tuned: best of 3 trials on validation" in rows_by_name["tuned"].note
    )
    plain = [row for name, row in rows_by_name.items() if name != "tuned"]
    assert len(plain) == 1 and "tuned:" not in plain[0].note
    assert "tuned: best of 3 trials on validation" in to_markdown(rows, [])


@pytest.mark.process
@pytest.mark.parametrize(
    ("overrides", "code", "says"),
    [
        (("tuned=levels", "model=works"), 2, "seed=0: the search used this seed; use fresh ones"),
        (("-m", "tuned=levels", "model=works", "seed=0,1"), 2, "the search used this seed"),
        (
            ("tuned=levels", "model=other", "seed=1"),
            2,
            "the study is about model works, got other",
        ),
        (
            ("tuned=levels", "model=works", "dataset=kidney", "seed=1"),
            2,
            "about dataset phantom, got kidney",
        ),
        (
            ("tuned=levels", "model=works", "recipe=standard", "seed=1"),
            2,
            "about recipe quick, got standard",
        ),
        (
            ("tuned=levels", "model=works", "seed=1", "dataset.phantom.seed=9"),
            2,
            "the study is about data",
        ),
        (
            ("tuned=levels", "model=works", "seed=1", f"++{LEVEL}=3"),
            2,
            "the study has chosen this value",
        ),
        (("tuned=nothing", "model=works", "seed=1"), 2, "no such study (there are: levels)"),
        (("study=levels", "model=works", "seed=1"), 2, "names a search"),
        ((*SEARCH, "seed=5"), 2, "begun with seed 0, now 5"),
        ((*SEARCH, f"++{LEVEL}=interval(0,9)"), 2, "interval(40,90), now"),
        ((*SEARCH, "model=other"), 2, "model works, now other"),
        ((*SEARCH, "tuned=levels"), 2, "tuned=levels in a search"),
        ((*SEARCH, "overwrite=true"), 2, "overwrite=True in a search"),
        (("sweep=tune", "model=works"), 2, "needs a parameter that varies"),
        (("sweep=tune", "model=works", "seed=choice(1,2)"), 2, "can vary in a search"),
    ],
)
def test_what_a_study_was_not_made_for_is_refused(searched, overrides, code, says):
    folder, _, _ = searched
    before = fits(folder), trials(folder)
    got, out, err = lab.usbench(folder, *overrides)
    assert got == code and says in err and "Traceback" not in err, (out, err)
    assert (fits(folder), trials(folder)) == before


@pytest.mark.process
def test_a_failed_trial_does_not_end_the_search(tmp_path):
    folder = lab.make(tmp_path, "works")
    search = (
        "sweep=tune",
        "model=works",
        "model.build.behaves=choice(raises,works,killed)",
        "study=ways",
    )
    code, out, err = lab.usbench(
        folder, *search, "hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=3"
    )
    assert (
        code == 1 and "1 of 3 trials done, 2 failed" in out and "model.build.behaves=works" in out
    ), err
    assert "the same command again" in out and "broke" not in err
    assert sorted(trial[0] for trial in trials(folder)) == ["COMPLETE", "FAIL", "FAIL"]
    made = read_results(folder / "runs" / "tuning" / "ways")
    assert sorted(result["status"] for result in made) == ["done", "failed", "failed"]
    assert not (folder / "results").exists()


@pytest.mark.process
def test_a_search_that_only_fails_says_so(tmp_path):
    folder = lab.make(tmp_path, "raises")
    code, out, err = lab.usbench(
        folder,
        "sweep=tune",
        "model=raises",
        f"++{LEVEL}=interval(40,90)",
        "hydra.sweeper.n_trials=1",
    )
    assert code == 1 and "0 of 1 trials done, 1 failed" in out
    assert "division by zero" in err and "broke" not in err and "Traceback" not in err
    code, _, err = lab.usbench(folder, "tuned=phantom-raises", "model=raises", "seed=1")
    assert code == 2 and "expected a study with a finished trial" in err


def test_a_tuned_row_is_not_compared_as_if_it_were_the_papers_recipe():
    common = {
        "dataset": "spinal",
        "task": "segment",
        "protocol": "kumar2025",
        "model": "unet",
        "recipe": "kumar2025",
    }
    theirs = Row(**common, origin="published", name="U-Net")
    ours = Row(**common, origin="run", name="unet")
    assert find_marks(ours, theirs) == ()
    assert find_marks(replace(ours, tuned=True), theirs) == ("≠ recipe",)
