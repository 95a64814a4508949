"""Results and case tables: what is written, what is refused, and that nothing is half there."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.paths import ROOT
from usbench.cli import compare, evaluate, explain, predict, reproduce
from usbench.errors import DataError, RunError
from usbench.results import store
from usbench.results.result import Result

RUN_ID = "0123456789ab"


def figure(value, reason=None, **more):
    return {
        "value": value,
        "low": None,
        "high": None,
        "method": None,
        "n": 40,
        "groups": 30,
        **({} if reason is None else {"reason": reason}),
        **more,
    }


def result_json(**changes):
    """A realistic result of a finished run, as JSON."""
    return {
        "schema": 2,
        "dataset": "usgra",
        "task": "segment",
        "fold": None,
        "trained_on": None,
        "origin": "run",
        "model": "unet",
        "recipe": "standard",
        "seed": 0,
        "run_id": RUN_ID,
        "status": "done",
        "reason": None,
        "protocol": {
            "name": "usbench",
            "version": 1,
            "description": "foreground classes, native size",
        },
        "primary": {"name": "dice", "value": 0.7, "higher_is_better": True},
        "target_score": {"dice": figure(1.0)},
        "scores": {"dice": figure(0.7), "iou": figure(0.6), "dice:no-leak": figure(0.65)},
        "per_class": {"nerve": {"dice": figure(0.6)}, "vessel": {"dice": figure(0.8)}},
        "protocols": {
            "pooled": {
                "version": 1,
                "description": "pooled",
                "target_score": {"dice": figure(1.0)},
                "scores": {"dice": figure(0.75)},
                "per_class": {},
            }
        },
        "validation": {"name": "dice", "value": 0.72},
        "data": {
            "fingerprint": "f" * 64,
            "counts": {"train": 173, "val": 31, "test": 40},
            "phantom": False,
            "leakage": {"n": 7, "description": "7 of 40", "images": ["test/0001"]},
            "splits": "the release's folders",
        },
        "predictions": {"file": f"{RUN_ID}/predictions-test.json", "sha256": "a" * 64, "n": 40},
        "cases": None,
        "cases_sha256": None,
        "config": {"model": {"name": "unet", "anything": [1, None, {"new": True}]}},
        "code": {"version": "0.1.0", "commit": None, "dirty": None},
        "machine": {
            "processor": "x",
            "gpu": None,
            "cuda": None,
            "cudnn": None,
            "driver": None,
            "packages": {"torch": "2.15.0"},
        },
        "date": "2026-01-31",
        "tf32": None,
        "reasons": {"tf32": "ran on a CPU"},
        "device": "cpu",
        "precision": "bf16",
        "threads": 2,
        "seconds": {"fit": 700.0, "predict": 4.0, "score": 1.0},
        "parameters": 14_328_209,
        **changes,
    }


def result(**changes):
    """The same as a value."""
    return Result.from_json(result_json(**changes))


def failed(**changes):
    """A result of a run that broke."""
    empty = {"protocol": None, "primary": None, "scores": {}, "per_class": {}, "predictions": None}
    reason = "epoch 3: the training loss is nan"
    return result(**{**empty, "status": "failed", "reason": reason, **changes})


CASES = [
    {
        "case": "test/0001",
        "group": "g1",
        "class": "nerve",
        "tp": 120,
        "dice": 0.123456789,
        "hd95_px": None,
        "hit": True,
    },
    {
        "case": "test/0002",
        "group": "g1",
        "class": "vessel",
        "tp": 0,
        "dice": 0.0,
        "hd95_px": 3.5,
        "hit": False,
    },
]


@pytest.mark.parametrize(
    ("stated", "known"),
    [({"fit": 7.0, "score": None}, {"fit": 7.0}), ({"fit": None}, None), (None, None)],
)
def test_a_stage_that_was_not_measured_has_no_seconds(stated, known):
    """The schema allows null; adding stages up ended in a TypeError."""
    assert result(seconds=stated).seconds == known


def test_round_trip_of_result_and_cases(tmp_path):
    path = store.save_result(tmp_path, result(), CASES)
    assert path == tmp_path / "usgra" / "segment" / f"unet-s0-{RUN_ID}.json"
    table = path.with_name(f"unet-s0-{RUN_ID}.cases.csv.gz")
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    named = {"cases": table.name, "cases_sha256": digest}
    assert json.loads(path.read_text()) == {**result_json(), **named}
    assert store.load_result(path) == result(**named)
    assert store.load_cases(path)[0] == {
        "case": "test/0001",
        "group": "g1",
        "class": "nerve",
        "tp": "120",
        "dice": "0.123456789",
        "hd95_px": "",
        "hit": "1",
    }
    assert sorted(p.name for p in path.parent.iterdir()) == sorted([path.name, table.name])


def test_same_result_gives_the_same_bytes_whatever_the_order_of_its_keys(tmp_path):
    first = store.save_result(tmp_path / "a", result(), CASES)
    turned = Result.from_json(dict(reversed(result_json().items())))
    second = store.save_result(tmp_path / "b", turned, CASES)
    for suffix in (".json", store.CASES):
        before, after = (p.with_name(p.stem + suffix).read_bytes() for p in (first, second))
        assert before == after
    packed = first.with_name(first.stem + store.CASES).read_bytes()
    assert packed[3] == 0 and packed[4:8] == bytes(4)  # gzip header: no file name, no time


def test_a_case_table_is_exactly_this_text():
    text = gzip.decompress(
        store.encode_cases([{"case": "a", "x": -0.0}, {"case": "b,c", "y": np.float32(1.5)}])
    )
    assert text == b'case,x,y\na,0,\n"b,c",,1.5\n'


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["case", "dice", "tp"]), st.integers() | st.none(), min_size=1
        ),
        max_size=5,
    )
)
def test_any_integers_survive_the_case_table(cases):
    text = gzip.decompress(store.encode_cases(cases)).decode().splitlines()
    assert len(text) >= 1
    assert store.encode_cases(cases) == store.encode_cases([dict(case) for case in cases])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan")])
def test_a_case_that_is_not_finite_is_refused_and_nothing_is_written(tmp_path, value):
    with pytest.raises(RunError, match="column hd95_px"):
        store.save_result(tmp_path, result(), [{"case": "a", "hd95_px": value}])
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, f"usgra/segment/unet-s0-{RUN_ID}.json"),
        ({"seed": 12}, f"usgra/segment/unet-s12-{RUN_ID}.json"),
        ({"seed": None, "origin": "human"}, f"usgra/segment/unet-{RUN_ID}.json"),
        (
            {"data": {**result_json()["data"], "phantom": True}},
            f"phantom/usgra/segment/unet-s0-{RUN_ID}.json",
        ),
        (
            {"dataset": "phantom", "data": {**result_json()["data"], "phantom": True}},
            f"phantom/phantom/segment/unet-s0-{RUN_ID}.json",
        ),
    ],
)
def test_where_a_result_lies(tmp_path, changes, path):
    changed = result(**changes)
    assert store.save_result(tmp_path, changed) == tmp_path / path
    parts = changed.dataset, changed.task, changed.model, changed.seed
    assert store.find_result_file(tmp_path, *parts, changed.run_id) == tmp_path / path
    assert store.find_result_file(tmp_path, *parts, "f" * 12) is None


BROKEN = [  # (key named in the message, the JSON)
    ("schema", result_json(schema=3)),
    ("dataset", result_json(dataset="../elsewhere")),
    ("dataset", result_json(dataset="a/b")),
    ("data", result_json(dataset="phantom")),  # results/phantom/ belongs to phantoms
    ("task", result_json(task="classify")),
    ("origin", result_json(origin="guess")),
    ("seed", result_json(seed=-1)),
    ("seed", result_json(seed=None)),  # a run has one
    ("run_id", result_json(run_id="xyz")),
    ("status", result_json(status="running")),
    ("reason", result_json(status="failed", reason=None)),
    ("reason", result_json(status="skipped", reason="")),
    ("protocol", result_json(protocol=None)),
    ("protocol", result_json(protocol={"name": "usbench", "version": 1})),
    ("scores", result_json(scores={})),
    ("scores.dice", result_json(scores={"dice": {"value": 0.7}})),
    ("scores.dice", result_json(scores={"dice": figure(None)})),  # null without a reason
    ("scores.dice.value", result_json(scores={"dice": figure("0.7")})),
    ("scores.dice.value", result_json(scores={"dice": figure(float("nan"))})),
    ("scores.dice.low", result_json(scores={"dice": figure(0.7, low=float("-inf"))})),
    (
        "scores",
        result_json(scores={"dice": figure(0.7), "mAP(B)": figure(0.1)}),
    ),  # a tracker refuses such a name
    ("per_class.nerve.dice", result_json(per_class={"nerve": {"dice": {"value": None}}})),
    (
        "protocols.pooled",
        result_json(protocols={"pooled": {"version": 1, "description": "", "per_class": {}}}),
    ),
    (
        "primary.name",
        result_json(primary={"name": "hd95_px", "value": 0.7, "higher_is_better": False}),
    ),
    (
        "primary.value",
        result_json(primary={"name": "dice", "value": 0.9, "higher_is_better": True}),
    ),
    ("data", result_json(data={"phantom": False})),
    ("data.phantom", result_json(data={**result_json()["data"], "phantom": "no"})),
    ("data.counts", result_json(data={**result_json()["data"], "counts": {"training": 3}})),
    ("machine", result_json(machine={"host": "somewhere"})),
    ("target_score", result_json(target_score=1.0)),
    ("config", result_json(config=None)),
    ("precision", result_json(precision="fp8")),
    ("(top level)", {k: v for k, v in result_json().items() if k != "code"}),
]


@pytest.mark.parametrize(("name", "broken"), BROKEN)
def test_a_broken_file_is_not_loaded(tmp_path, name, broken):
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(broken))  # writes NaN as a literal
    with pytest.raises(DataError) as error:
        store.load_result(path)
    assert str(path) in str(error.value) and f"key {name}" in str(error.value)
    assert "\n" not in str(error.value)


def with_figure(**changes):
    """The result with another Dice."""
    return with_scores({"dice": replace(result().scores["dice"], **changes)})


def with_primary(**changes):
    whole = result()
    return replace(whole, primary=replace(whole.primary, **changes))


def with_data(**changes):
    whole = result()
    return replace(whole, data=replace(whole.data, **changes))


def with_scores(scores):
    whole = result()
    return replace(whole, protocols=(replace(whole.protocol, scores=scores),))


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("dataset", replace(result(), dataset="../elsewhere")),
        ("dataset", replace(result(), dataset="a/b")),
        ("data", replace(result(), dataset="phantom")),
        ("task", replace(result(), task="classify")),
        ("origin", replace(result(), origin="guess")),
        ("seed", replace(result(), seed=-1)),
        ("seed", replace(result(), seed=None)),
        ("run_id", replace(result(), run_id="xyz")),
        ("status", replace(result(), status="running")),
        ("reason", replace(result(), status="failed", reason=None)),
        ("reason", replace(result(), status="skipped", reason="")),
        ("(top level)", replace(result(), protocols=())),
        ("scores", with_scores({})),
        ("scores", with_scores({**result().scores, "mAP(B)": result().scores["dice"]})),
        ("scores.dice.value", with_figure(value="0.7")),
        ("scores.dice.value", with_figure(value=float("nan"))),
        ("scores.dice.low", with_figure(low=float("-inf"))),
        ("primary.name", with_primary(name="hd95_px")),
        ("primary.value", with_primary(value=0.9)),
        ("data.fingerprint", with_data(fingerprint=None)),
        ("data.phantom", with_data(phantom="no")),
        ("data.counts", with_data(counts={"training": 3})),
        ("config", replace(result(), config=None)),
        ("precision", replace(result(), precision="fp8")),
    ],
)
def test_a_broken_result_is_not_saved(tmp_path, name, broken):
    with pytest.raises(RunError, match="not saved") as error:
        store.save_result(tmp_path, broken, CASES)
    assert f"key {name}" in str(error.value) and "\n" not in str(error.value)
    assert list(tmp_path.rglob("*")) == []


WHOLE = json.dumps(result_json())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[: len(WHOLE) // 2].encode(), "damaged"),
        (b"", "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"[]", "top level"),
        (WHOLE.replace("0.7,", "NaN,").encode(), "finite"),
        (WHOLE.replace("0.7,", "1e999,").encode(), "finite"),
        (b"<<<<<<< ours\n" + WHOLE.encode(), "damaged"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, content, message):
    path = tmp_path / "usgra" / "segment" / f"unet-s0-{RUN_ID}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    for read in (lambda: store.load_result(path), lambda: store.load_results(tmp_path)):
        with pytest.raises(DataError, match=message) as error:
            read()
        assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.json"):
        store.load_result(tmp_path / "absent.json")


def test_unknown_keys_stay(tmp_path):
    newer = result(from_a_later_version={"x": 1})
    loaded = store.load_result(store.save_result(tmp_path, newer))
    assert loaded.to_json()["from_a_later_version"] == {"x": 1}


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path):
    """A file is moved into its place, never rewritten there: what was opened before stays whole."""
    path = store.save_result(tmp_path, result(), CASES)
    with (
        path.open("rb") as result_file,
        path.with_name(path.stem + store.CASES).open("rb") as table,
    ):
        store.save_result(tmp_path, result(recipe="quick"), CASES[:1])
        assert json.load(result_file)["recipe"] == "standard"
        assert gzip.decompress(table.read()).count(b"\n") == 3
    assert len(store.load_cases(path)) == 1


def test_a_failed_result_never_replaces_a_finished_one(tmp_path):
    path = store.save_result(tmp_path, result(), CASES)
    before = path.read_bytes()
    assert store.save_result(tmp_path, failed()) == path
    assert path.read_bytes() == before
    assert len(store.load_cases(path)) == 2


def test_a_failed_result_stays_and_gives_way(tmp_path):
    path = store.save_result(tmp_path, failed())
    assert store.load_result(path).reason == "epoch 3: the training loss is nan"
    store.save_result(tmp_path, failed(reason="again"))
    assert store.load_result(path).reason == "again"
    store.save_result(tmp_path, result(), CASES)
    assert store.load_result(path).is_done


def test_a_rescored_result_keeps_its_table_and_a_new_one_without_cases_drops_it(tmp_path):
    path = store.save_result(tmp_path, result(), CASES)
    store.save_result(tmp_path, store.load_result(path))
    assert len(store.load_cases(path)) == 2
    store.save_result(tmp_path, result())
    assert store.load_cases(path) == []
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-9], lambda data: b"", lambda data: store.encode_cases([{"case": "b"}])],
)
def test_a_case_table_that_is_not_the_result_s_own_is_refused(tmp_path, damage):
    path = store.save_result(tmp_path, result(), CASES)
    table = path.with_name(path.stem + store.CASES)
    table.write_bytes(damage(table.read_bytes()))
    with pytest.raises(DataError, match="cases"):
        store.load_cases(path)
    table.unlink()
    with pytest.raises(DataError, match="cases"):
        store.load_cases(path)


def test_a_case_table_with_a_row_cut_short_is_refused(tmp_path):
    """Even of an old result, that doesn't say which table it was written with."""
    path = store.save_result(tmp_path, result(), CASES)
    table = path.with_name(path.stem + store.CASES)
    text = gzip.decompress(table.read_bytes()).decode().rstrip("\n")
    table.write_bytes(gzip.compress(text.rpartition(",")[0].encode()))
    old = replace(store.load_result(path), cases_sha256=None)
    with pytest.raises(DataError, match=r"cases.*rows of unequal length"):
        store.read_cases(path, old)


def test_load_all_is_sorted_and_keeps_phantoms_apart(tmp_path):
    phantom = {**result_json()["data"], "phantom": True}
    for changes in (
        {"seed": 1, "run_id": "b" * 12},
        {"seed": 0},
        {"seed": 2, "run_id": "c" * 12, "data": phantom},
    ):
        store.save_result(tmp_path, result(**changes))
    assert [r.seed for r in store.load_results(tmp_path)] == [0, 1]
    assert [r.seed for r in store.load_results(tmp_path, phantom=True)] == [2]
    assert store.load_results(tmp_path / "nothing here") == []


@pytest.mark.parametrize(
    "place", ["usgra/segment/copy.json", "spinal/segment/{name}", "phantom/usgra/segment/{name}"]
)
def test_a_result_in_the_wrong_place_is_refused(tmp_path, place):
    path = store.save_result(tmp_path, result())
    copy = tmp_path / place.format(name=path.name)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(path.read_bytes())
    with pytest.raises(DataError, match="belongs at"):
        store.load_results(tmp_path, phantom=place.startswith("phantom"))


def test_a_folder_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path):
    (tmp_path / "results").write_text("a file, not a folder")
    with pytest.raises(RunError, match="can't be written") as error:
        store.save_result(tmp_path / "results", result(), CASES)
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="a folder's permissions don't bind this user"
)
def test_a_read_only_folder_is_one_line_and_keeps_what_is_there(tmp_path):
    path = store.save_result(tmp_path, result(), CASES)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(RunError, match="can't be written"):
            store.save_result(tmp_path, result(recipe="quick"), CASES[:1])
    finally:
        path.parent.chmod(0o700)
    assert store.load_result(path).recipe == "standard"


FULL = """
import json, random, resource, sys
from pathlib import Path
from usbench.errors import RunError
from usbench.results.result import Result
from usbench.results.store import save_result
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))  # OSError half-way, as on a full disk
top, content = Path(sys.argv[1]), json.loads(sys.argv[2])
random.seed(0)
cases = [{"case": str(n), "x": random.random()} for n in range(int(sys.argv[3]))]
content["config"]["padding"] = "x" * int(sys.argv[4])
try:
    save_result(top, Result.from_json(content), cases)
except RunError as error:
    sys.exit(str(error))
"""


@pytest.mark.process
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX resource limits")
@pytest.mark.parametrize(("cases", "padding"), [(5000, 0), (3, 9000)])
def test_a_full_disk_loses_nothing(tmp_path, cases, padding):
    """Whichever file meets the limit: the old pair stays, no temporary file is left."""
    path = store.save_result(tmp_path, result(), CASES)
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            FULL,
            str(tmp_path),
            json.dumps(result_json(recipe="quick")),
            str(cases),
            str(padding),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (
        done.returncode == 1 and "can't be written" in done.stderr and done.stderr.count("\n") == 1
    )
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before


@pytest.mark.parametrize("redistribute", ["none", None, False, "", "private", "Open", "Images"])
def test_ids_of_data_that_may_not_be_redistributed_are_hashed(redistribute):
    masked = store.hash_case_ids(CASES, redistribute, "spinal")
    expected = hashlib.sha256(b"spinaltest/0001").hexdigest()[:12]
    assert masked[0] == {
        **CASES[0],
        "case": expected,
        "group": hashlib.sha256(b"spinalg1").hexdigest()[:12],
    }
    assert masked[0]["group"] == masked[1]["group"] and masked[0]["case"] != masked[1]["case"]
    assert CASES[0]["case"] == "test/0001"
    assert store.hash_case_ids([{"case": None}], redistribute, "spinal") == [{"case": None}]


@pytest.mark.parametrize("redistribute", ["labels", "images"])
def test_ids_of_data_that_may_be_redistributed_stay(redistribute):
    assert store.hash_case_ids(CASES, redistribute, "usgra") == CASES


@pytest.mark.process
def test_results_need_neither_torch_nor_hydra():
    code = (
        "import sys, usbench.results.store, usbench.leaderboard.markdown\n"
        "print({'torch', 'hydra', 'matplotlib'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == "set()"


# ---- which result a word names


@pytest.fixture
def saved(tmp_path):
    """The path of a result below tmp_path."""
    return store.save_result(tmp_path, result())


@pytest.mark.parametrize(
    "word", [RUN_ID, RUN_ID[-4:], f"unet-s0-{RUN_ID}", f"unet-s0-{RUN_ID}.json"]
)
def test_a_result_by_its_name_or_run_id(saved, tmp_path, word):
    assert store.resolve_result(word, tmp_path) == saved


def test_a_result_by_its_path(saved, tmp_path):
    for path in (saved, saved.with_suffix("")):
        assert store.resolve_result(str(path), tmp_path / "others") == saved


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("fedcba987654", "got 0 results .*; a run that was refused at its start has none"),
        ("ab", "got 2 results .*; write more of it"),
        ("89ab", "got 2 results .*; write more of it"),
        ("*", "got 0 results"),
        (f"nowhere/unet-s0-{RUN_ID}.json", "got 0 results"),
    ],
)
def test_a_word_that_names_no_result_or_several(saved, tmp_path, word, reason):
    store.save_result(tmp_path, result(run_id="ffffffff89ab"))
    with pytest.raises(DataError, match=f"expected a result file or a run id, {reason}"):
        store.resolve_result(word, tmp_path)


@pytest.mark.parametrize(("status", "ending"), [("failed", "failed"), ("skipped", "was skipped")])
def test_a_finished_run_is_wanted(tmp_path, status, ending):
    path = store.save_result(tmp_path, failed(status=status))
    says = f"expected a finished run, got one that {ending}: epoch 3: the training loss is nan"
    with pytest.raises(DataError, match=says):
        store.load_finished(path)


@pytest.mark.parametrize("command", [compare, explain, predict, evaluate, reproduce])
def test_commands_say_why_a_run_failed(tmp_path, capsys, command):
    """A run that failed has no predictions and no weights, which told nobody what happened."""
    path = store.save_result(tmp_path / "results", failed())
    Image.new("L", (8, 8)).save(tmp_path / "image.png")
    further = {
        compare: [str(path)],
        predict: ["--images", str(tmp_path), "--out", str(tmp_path / "out")],
        evaluate: ["dataset=phantom"],
    }
    folder = ["--results", str(tmp_path / "results")]
    assert command.main([path.stem, *further.get(command, []), *folder]) == 1
    assert capsys.readouterr().err == (
        f"{path}: expected a finished run, got one that failed: epoch 3: the training loss is nan\n"
    )
