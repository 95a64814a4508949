"""The leaderboard: seeds joined, marks where figures don't compare, protocols and phantoms apart,
the same bytes twice."""

import csv
import hashlib
import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.paths import ROOT
from usbench.errors import ConfigError, DataError
from usbench.leaderboard.agreement import find_marks
from usbench.leaderboard.build import build_rows
from usbench.leaderboard.comparison import check_comparable
from usbench.leaderboard.csv_file import to_csv
from usbench.leaderboard.markdown import to_markdown
from usbench.leaderboard.published import DatasetSummary, Published, read_datasets
from usbench.leaderboard.recipes import adapter_versions, read_configs
from usbench.leaderboard.rows import Agreement, Row
from usbench.results.format import format_value
from usbench.results.result import Result
from usbench.results.store import save_result


def figure(value, low=None, high=None):
    content = {"value": value, "low": low, "high": high, "method": None, "n": 40, "groups": 30}
    if low is not None:
        content |= {"method": "logit-t", "se": (high - low) / 4, "df": 29}
    return {**content, "reason": "no image has the class"} if value is None else content


def rows(contents, datasets):
    """The leaderboard's rows of results as JSON."""
    return build_rows([Result.from_json(content) for content in contents], datasets)


def markdown_of(rows, datasets):
    """The leaderboard as Markdown, with plain spaces in its intervals."""
    return to_markdown(rows, datasets).replace("\N{NO-BREAK SPACE}", " ")


def make_result(value=0.7, seed=0, encoder="resnet18", version=1, config=None, **changes):
    """A realistic finished run; its key follows from what tells it apart."""
    made = {
        "schema": 2,
        "dataset": "spinal",
        "task": "segment",
        "fold": None,
        "trained_on": None,
        "origin": "run",
        "model": "unet",
        "recipe": "kumar2025",
        "seed": seed,
        "status": "done",
        "reason": None,
        "protocol": {
            "name": "usbench",
            "version": version,
            "description": "foreground, native size",
        },
        "primary": {"name": "dice", "value": value, "higher_is_better": True},
        "target_score": {"dice": figure(1.0)},
        "scores": {"dice": figure(value), "iou": figure(0.5)},
        "per_class": {"dura": {"dice": figure(0.6)}, "pia": {"dice": figure(0.8)}},
        "protocols": {},
        "data": {
            "fingerprint": "f" * 64,
            "counts": {"train": 8668, "val": 895, "test": 660},
            "phantom": False,
        },
        "config": config
        or {"model": {"name": "unet", "build": {"encoder": encoder}}, "threads": seed},
        "code": {"version": "0.1.0", "commit": None, "dirty": None},
        "machine": {},
        "precision": "bf16",
        "parameters": 31044106,
        **changes,
    }
    return {"run_id": hashlib.sha256(json.dumps([made, encoder]).encode()).hexdigest()[:12], **made}


def paper(**changes):
    """A published row that `make_result()` may be compared with under kumar2025-cnn."""
    row = {
        "task": "segment",
        "name": "U-Net",
        "protocol": "kumar2025-cnn",
        "split": "test",
        "scores": {"dice": 0.553, "iou": 0.476},
        "source": "Kumar 2025",
        "verified": "third-party",
        "model": "unet",
        "recipe": "kumar2025",
        "parameters": 31044106,
    }
    return Published(**{**row, **changes})


def by_the_paper(value, version=1):
    return {
        "version": version,
        "description": "10 classes",
        "target_score": {"dice": figure(0.813)},
        "scores": {"dice": figure(value)},
        "per_class": {},
    }


def ours(all_rows):
    return [row for row in all_rows if row.origin != "published"]


# ---- older versions


def make_version(value, version, **changes):
    """A run by a version of the adapter; None: its configuration doesn't say."""
    config = {
        "model": {"name": "unet"} if version is None else {"name": "unet", "version": version}
    }
    return make_result(value, config=config, series=f"{version}" * 12, **changes)


@pytest.mark.parametrize(
    ("version", "code", "old"),
    [
        (1, {"unet": 2}, True),
        (2, {"unet": 2}, False),
        (3, {"unet": 2}, False),  # another checkout's
        (1, {"fpn": 2}, False),
        (None, {"unet": 2}, False),
    ],
)
def test_a_result_of_an_older_adapter_is_marked(version, code, old):
    (row,) = build_rows([Result.from_json(make_version(0.7, version))], [], versions=code)
    assert row.old_version == old and row.value == 0.7
    note = "older version (1, now 2)"
    assert row.note == (note if old else "")
    line = next(csv.DictReader(io.StringIO(to_csv([row]))))
    assert line["old_version"] == str(int(old)) and (note in markdown_of([row], [])) == old


def test_an_older_adapter_stands_below_and_in_no_row_of_the_newer():
    contents = [make_version(0.9, 1), make_version(0.6, 2), make_version(0.5, 2, model="fpn")]
    made = [Result.from_json(content) for content in contents]
    all_rows = build_rows(made, [], versions={"unet": 2, "fpn": 2})
    assert [(row.value, row.old_version) for row in all_rows] == [
        (0.6, False),
        (0.5, False),
        (0.9, True),
    ]


def test_people_and_predictions_from_elsewhere_have_no_version():
    for origin in ("external", "human", "baseline"):
        made = Result.from_json(make_version(0.9, 1, origin=origin))
        (row,) = build_rows([made], [], versions={"unet": 2})
        assert not row.old_version


def test_versions_are_those_of_the_models(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: other\nversion: 7\n")
    (tmp_path / "model" / "none.yaml").write_text("name: none\n")
    assert adapter_versions(read_configs(tmp_path)) == {"other": 7}
    assert adapter_versions(read_configs(ROOT / "conf"))["unet"] >= 2
    (tmp_path / "model" / "broken.yaml").write_text("a: [\n")
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        read_configs(tmp_path)


# ---- seeds


def test_seeds_are_one_row_with_mean_and_sample_sd():
    all_rows = rows([make_result(0.5, 2), make_result(0.7, 0), make_result(0.6, 1)], [])
    assert len(all_rows) == 1
    assert all_rows[0].seeds == (0, 1, 2)
    assert all_rows[0].value == pytest.approx(0.6)
    assert all_rows[0].scores["dice"].sd == pytest.approx(0.1)  # √((.1² + 0 + .1²) / 2)
    text = markdown_of(all_rows, [])
    assert (
        "| model | recipe | **Dice** | dura | pia | IoU | seeds | groups | parameters |" in text
        and "| unet | kumar2025 | .600 | .600 | .800 | .500 | 3 (SD .100) | 30 | 31,044,106 |"
        in text
        and "In all rows: target score 1.000." in text
    )


def test_an_interval_is_that_of_one_training_and_seeds_share_the_mean_of_theirs():
    scores = {"dice": figure(0.7, 0.65, 0.75)}
    assert ".700 [.650, .750]" in markdown_of(rows([make_result(scores=scores)], []), [])
    others = {"dice": figure(0.7, 0.55, 0.75)}
    assert ".700 [.600, .750]" in markdown_of(
        rows([make_result(scores=scores), make_result(seed=1, scores=others)], []), []
    )
    without = {"dice": figure(0.7)}
    assert ".700 |" in markdown_of(
        rows([make_result(scores=scores), make_result(seed=1, scores=without)], []), []
    )


def test_a_seed_that_is_undefined_leaves_the_mean_undefined():
    undefined = {"name": "dice", "value": None, "higher_is_better": True}
    all_rows = rows(
        [
            make_result(),
            make_result(
                seed=1, primary=undefined, scores={"dice": figure(None), "iou": figure(0.5)}
            ),
        ],
        [],
    )
    assert all_rows[0].value is None
    assert "| – |" in markdown_of(all_rows, [])


def test_two_seeds_have_two_spreads_that_stand_apart():
    """SD over the seeds: √(.05² + .05²) = .0707. SE over 30 groups: the root mean square of the
    bootstraps' .01 and .02, times √(30 / 29): .0161."""
    first = make_result(0.6, scores={"dice": figure(0.6, 0.58, 0.62)})
    second = make_result(0.7, 1, scores={"dice": figure(0.7, 0.66, 0.74)})
    all_rows = rows([first, second], [])
    assert "| 2 (SD .071) | 30 (SE .016) |" in markdown_of(all_rows, [])
    (line,) = csv.DictReader(io.StringIO(to_csv(all_rows)))
    assert float(line["sd"]) == pytest.approx(0.005**0.5, rel=1e-5)
    assert float(line["se"]) == pytest.approx((0.00025 * 30 / 29) ** 0.5, rel=1e-4)
    assert (line["groups"], line["seeds_done"], line["seeds_begun"]) == ("30", "2", "2")


def test_a_seed_that_failed_counts_towards_the_seeds_begun():
    broken = {
        "status": "failed",
        "reason": "x",
        "protocol": None,
        "primary": None,
        "scores": {},
        "per_class": {},
    }
    all_rows = rows([make_result(0.5), make_result(0.6, 1), make_result(seed=2, **broken)], [])
    assert [(row.seeds, row.seeds_begun) for row in all_rows if row.status == "done"] == [
        ((0, 1), 3)
    ]
    text = markdown_of(all_rows, [])
    assert "| 2 of 3 (SD .071) |" in text and "**Failed or skipped**" in text
    line = next(csv.DictReader(io.StringIO(to_csv(all_rows))))
    assert (line["seeds"], line["seeds_done"], line["seeds_begun"]) == ("0 1", "2", "3")
    other = rows([make_result(0.5), make_result(seed=2, encoder="resnet34", **broken)], [])
    assert [row.seeds_begun for row in other if row.status == "done"] == [1]  # of another recipe


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"encoder": "resnet34"}, {"unet · encoder=resnet18", "unet · encoder=resnet34"}),
        ({"precision": "fp32"}, {"unet · precision=bf16", "unet · precision=fp32"}),
        ({"fold": 1}, {"unet", "unet · fold 1"}),
        ({"trained_on": "kidney"}, {"unet", "unet · trained on kidney"}),
        ({"recipe": "quick"}, {"unet"}),
        ({"model": "deeplabv3"}, {"unet", "deeplabv3"}),
    ],
)
def test_recipes_stay_apart_and_have_different_names(changes, labels):
    all_rows = rows([make_result(), make_result(seed=1, **changes)], [])
    assert len(all_rows) == 2
    assert {row.name for row in all_rows} == labels


def test_what_has_no_bearing_on_the_result_keeps_seeds_together():
    first = {
        "model": {"build": {"encoder": "resnet18"}, "recipes": {"quick": 1}},
        "device": "cpu",
        "threads": 2,
    }
    second = {
        "model": {"build": {"encoder": "resnet18"}, "recipes": {}},
        "device": "cuda",
        "threads": 8,
    }
    assert len(rows([make_result(config=first), make_result(seed=1, config=second)], [])) == 1


def test_data_that_differ_or_a_seed_twice_stay_apart():
    other = {**make_result()["data"], "fingerprint": "e" * 64}
    assert len(rows([make_result(), make_result(seed=1, data=other)], [])) == 2
    twice = rows(
        [make_result(0.7), make_result(0.6)], []
    )  # one seed, two keys: they differ in something the config doesn't hold
    assert [len(row.seeds) for row in twice] == [1, 1]
    assert [row.name for row in twice] == [f"unet · {row.run_ids[0]}" for row in twice]


def test_the_series_decides_where_there_is_one():
    assert len(rows([make_result(series="a" * 12), make_result(seed=1, series="a" * 12)], [])) == 1
    all_rows = rows([make_result(series="a" * 12), make_result(seed=1, series="b" * 12)], [])
    assert [row.name for row in all_rows] == [f"unet · {row.run_ids[0]}" for row in all_rows]


# ---- published rows


MARKS = [  # (changes of ours, changes of the paper's, marks)
    ({}, {}, ()),
    ({"protocol": "usbench"}, {}, ("≠ protocol",)),
    ({"old_protocol": True}, {}, ("≠ protocol",)),
    ({}, {"protocol": "unknown"}, ("≠ protocol",)),
    ({}, {"split": "human"}, ("≠ data",)),
    ({"fold": 0}, {}, ("≠ data",)),
    ({"folds": (5, 5)}, {}, ("≠ data",)),
    ({"trained_on": "kidney"}, {}, ("≠ data",)),
    ({"counts": {"train": 100, "test": 660}}, {"counts": {"train": 8668}}, ("≠ data",)),
    ({"counts": {"train": 8668, "test": 660}}, {"counts": {"train": 8668}}, ()),
    ({"model": "deeplabv3"}, {}, ("≠ model",)),
    ({}, {"model": None}, ("≠ model",)),
    ({"parameters": 14328209}, {}, ("≠ model",)),
    ({"parameters": None}, {}, ("≠ model",)),
    ({"parameters": None}, {"parameters": None}, ()),
    ({"recipe": "standard"}, {}, ("≠ recipe",)),
    ({}, {"recipe": None}, ("≠ recipe",)),
    ({"recipe": None}, {"recipe": None}, ("≠ recipe",)),
    (
        {"protocol": "usbench", "fold": 2, "parameters": 1, "recipe": "quick"},
        {},
        ("≠ protocol", "≠ data", "≠ model", "≠ recipe"),
    ),
]


@pytest.mark.parametrize(("mine", "theirs", "expected"), MARKS)
def test_what_forbids_a_difference(mine, theirs, expected):
    both = {
        "protocol": "kumar2025-cnn",
        "model": "unet",
        "recipe": "kumar2025",
        "parameters": 31044106,
    }
    row = Row("spinal", "segment", "run", "unet", **{**both, **mine})
    published = Row("spinal", "segment", "published", "U-Net", **{**both, **theirs})
    assert find_marks(row, published) == expected


def test_the_difference_is_taken_under_the_published_protocol_only():
    """Our .700 is by our own rule; by the paper's rule it is .560 and .570: .565 − .553 = +.012."""
    contents = [
        make_result(0.7, s, protocols={"kumar2025-cnn": by_the_paper(v)})
        for s, v in ((0, 0.56), (1, 0.57))
    ]
    all_rows = rows(contents, [DatasetSummary("spinal", published=(paper(),))])
    tables = {row.protocol: row for row in ours(all_rows)}
    assert tables["usbench"].marks == ("≠ protocol",) and tables["usbench"].delta is None
    assert tables["usbench"].agreement == Agreement("can't tell", "≠ protocol")
    assert tables["kumar2025-cnn"].marks == ()
    assert tables["kumar2025-cnn"].delta == pytest.approx(0.012)
    text = markdown_of(all_rows, [])
    assert "+.012 (U-Net .553)" not in text and "+.012 (U-Net)" in text
    assert (
        "| ≠ protocol: can't tell |" in text
        and "+.012 (U-Net): can't tell (no standard error)" in text
    )


def test_the_table_of_one_protocol_has_no_row_of_another():
    contents = [make_result(0.7, protocols={"kumar2025-cnn": by_the_paper(0.56)})]
    papers = (
        paper(),
        paper(name="YOLO", protocol="unknown"),
        paper(name="U-Net h", split="human", scores={"dice": 0.349}),
    )
    all_rows = rows(contents, [DatasetSummary("spinal", published=papers)])
    tables = markdown_of(all_rows, []).split("**Protocol ")[1:]
    titles = [table.splitlines()[0] for table in tables]
    assert titles == [
        "`usbench` 1**",
        "`kumar2025-cnn` 1**",
        "`kumar2025-cnn` 1, evaluated on: human**",
        "`unknown`**",
    ]
    names = [
        [
            line.split(" | ")[0]
            for line in table.split("Protocol: ")[0].splitlines()
            if line.startswith("| ")
        ]
        for table in tables
    ]
    assert "| unet" in names[0] and "| U-Net" not in names[0]
    assert names[1] == ["| model", "| unet", "| U-Net"]  # .560 above .553
    assert names[2] == ["| model", "| U-Net h"]
    assert names[3] == ["| model", "| YOLO"]


def test_an_older_protocol_stands_apart():
    all_rows = rows([make_result(0.9, version=1), make_result(0.6, 1, version=2)], [])
    assert [(row.version, row.old_protocol) for row in all_rows] == [(2, False), (1, True)]
    assert "**Protocol `usbench` 1 (old protocol)**" in markdown_of(all_rows, [])


def test_agreement_with_the_paper_is_shown_with_its_interval():
    protocols = {
        "kumar2025-cnn": {**by_the_paper(0.56), "scores": {"dice": figure(0.56, 0.55, 0.57)}}
    }
    contents = [make_result(0.7, seed, protocols=protocols) for seed in (0, 1, 2)]
    (row,) = [
        row
        for row in rows(contents, [DatasetSummary("spinal", published=(paper(),))])
        if row.delta is not None
    ]
    assert row.agreement.verdict == "agrees" and row.agreement.low < row.delta < row.agreement.high
    wide = DatasetSummary("spinal", published=(paper(),), agrees_within=0.005)
    (row,) = [row for row in rows(contents, [wide]) if row.delta is not None]
    assert row.agreement.verdict == "can't tell"
    text = to_csv([row])
    line = next(line for line in csv.DictReader(io.StringIO(text)) if line["score"] == "dice")
    assert line["agreement"] == "can't tell" and float(line["delta_low"]) < 0.007 < float(
        line["delta_high"]
    )


@pytest.mark.parametrize("within", [0, 1, "much", True])
def test_a_bad_tolerance_is_named(tmp_path, within):
    folder = written(tmp_path, [])
    path = next((folder / "dataset").glob("*.yaml"))
    path.write_text(path.read_text() + f"agrees_within: {json.dumps(within)}\n")
    with pytest.raises(DataError, match="agrees_within: expected a number between 0 and 1"):
        read_datasets(folder)


def test_no_model_of_the_paper_is_no_comparison_and_no_paper_no_mark():
    lonely = rows(
        [make_result()], [DatasetSummary("spinal", published=(paper(model=None, why="none"),))]
    )
    assert ours(lonely)[0].marks == ("≠ model",)
    assert rows([make_result()], [DatasetSummary("kidney", published=(paper(),))])[1].marks == ()


def test_the_closest_published_row_is_the_one_compared_with():
    papers = (
        paper(name="human", split="human"),
        paper(name="porcine", protocol="usbench", scores={"dice": 0.6}),
    )
    row = ours(rows([make_result(0.7)], [DatasetSummary("spinal", published=papers)]))[0]
    assert (row.against, row.marks) == ("porcine", ())
    assert row.delta == pytest.approx(0.1)


def test_a_human_or_control_row_is_unranked_and_never_compared():
    rater = make_result(0.99, origin="human", model="annotator-2", seed=None, recipe=None)
    all_rows = rows(
        [rater, make_result(0.2)],
        [DatasetSummary("spinal", published=(paper(protocol="usbench"),))],
    )
    assert [row.origin for row in all_rows] == ["published", "run", "human"]
    assert all_rows[2].marks == ()


# ---- leaks, failures, order


def test_a_leak_is_marked_and_has_its_second_figure():
    leak = {"n": 7, "description": "7 of 40 test images are near-duplicates"}
    scores = {"dice": figure(0.7), "dice:no-leak": figure(0.65)}
    text = markdown_of(
        rows(
            [
                make_result(
                    dataset="usgra", data={**make_result()["data"], "leakage": leak}, scores=scores
                )
            ],
            [],
        ),
        [],
    )
    assert (
        "Dice without test images that resemble a training image:\n\n| model | recipe | **all images** | without 7 images |"
        in text
    )
    assert (
        "| .700 | .650 |" in text
        and "| 1 |\n\n1. leakage: at least 7 images\n" in text
        and "Leakage: 7 of 40 test images" in text
    )


def test_a_failed_run_is_a_row_with_its_reason_that_cannot_break_the_table():
    reason = "loss isn't finite | epoch 3\n<b>"
    bad = make_result(
        seed=4, status="failed", reason=reason, protocol=None, primary=None, scores={}, per_class={}
    )
    all_rows = rows([bad, make_result()], [])
    assert [row.status for row in all_rows] == ["done", "failed"]
    assert (
        f"| unet | kumar2025 | 4 | {bad['run_id']} | failed | "
        "loss isn't finite \\| epoch 3 &lt;b> |" in markdown_of(all_rows, [])
    )
    assert list(csv.DictReader(io.StringIO(to_csv(all_rows))))[-1]["note"] == reason


@pytest.mark.parametrize(
    ("higher", "expected"), [(True, ["c", "a", "b"]), (False, ["a", "b", "c"])]
)
def test_best_first_then_by_name(higher, expected):
    def run(model, value):
        return make_result(
            value, model=model, primary={"name": "dice", "value": value, "higher_is_better": higher}
        )

    assert [row.name for row in rows([run("b", 0.5), run("c", 0.6), run("a", 0.5)], [])] == expected


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_results_changes_no_byte(shuffle: random.Random):
    contents = [
        make_result(0.5 + seed / 10, seed, model=model)
        for seed in range(3)
        for model in ("unet", "deeplabv3")
    ]
    contents += [
        make_result(0.4, encoder="resnet34"),
        make_result(seed=9, status="failed", reason="x"),
    ]
    mixed = list(contents)
    shuffle.shuffle(mixed)
    datasets = [DatasetSummary("spinal", published=(paper(),))]
    first, second = rows(contents, datasets), rows(mixed, datasets)
    assert markdown_of(first, datasets) == markdown_of(second, datasets)
    assert to_csv(first) == to_csv(second)


@pytest.mark.parametrize(
    ("value", "score", "sign", "text"),
    [
        (0.6064, "dice", "", ".606"),
        (1.0, "dice", "", "1.000"),
        (0.9996, "dice", "", "1.000"),
        (0.0, "dice", "", ".000"),
        (None, "dice", "", "–"),
        (0.0131, "dice", "+", "+.013"),
        (-0.0131, "dice", "+", "−.013"),
        (-0.0001, "dice", "+", "+.000"),
        (3.456, "hd95_px", "", "3.46"),
        (0.5, "mre_mm", "", "0.50"),
        (0.756, "sdr_px_4", "", ".756"),
        (31.0, "undefined_px", "", "31"),
        (1.5, "undefined_mm", "", "1.5"),
    ],
)
def test_figures_for_people(value, score, sign, text):
    assert format_value(value, score, sign) == text


def test_csv_says_every_score_with_its_protocol():
    all_rows = rows(
        [make_result(0.7, s, protocols={"kumar2025-cnn": by_the_paper(0.56)}) for s in (0, 1)],
        [DatasetSummary("spinal", published=(paper(),))],
    )
    lines = list(csv.DictReader(io.StringIO(to_csv(all_rows))))
    by_score = {(line["origin"], line["protocol"], line["score"]): line for line in lines}
    assert len(by_score) == len(lines) == 5
    assert (
        by_score["run", "usbench", "dice"]["value"] == "0.7"
        and by_score["run", "usbench", "dice"]["seeds"] == "0 1"
    )
    assert by_score["run", "kumar2025-cnn", "dice"]["delta_published"] == "0.007"
    assert by_score["run", "kumar2025-cnn", "dice"]["target_score"] == "0.813"
    assert by_score["published", "kumar2025-cnn", "dice"]["protocol_version"] == ""
    assert by_score["published", "kumar2025-cnn", "iou"]["verified"] == "third-party"


# ---- dataset YAMLs


def written(folder, published, name="spinal"):
    (folder / "dataset").mkdir(parents=True, exist_ok=True)
    content = {
        "name": name,
        "licence": "none | declared",
        "citation": "Kumar 2025",
        "published": published,
    }
    (folder / "dataset" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


ENTRY = {
    "task": "segment",
    "name": "U-Net",
    "model": None,
    "why": "another net",
    "protocol": "kumar2025-cnn",
    "split": "test",
    "scores": {"dice": 0.553},
    "per_class": {"spinal cord": {"dice": 0.928}},
    "source": "Kumar 2025",
    "verified": False,  # what YAML makes of a bare `no`
}


def test_published_rows_are_read_and_shown_without_any_result(tmp_path):
    datasets = read_datasets(written(tmp_path, [ENTRY]))
    assert datasets[0].published[0].verified == "no"
    text = markdown_of(rows([], datasets), datasets)
    assert "| model | **Dice** | spinal cord | notes |" in text
    assert "| U-Net | .553 | .928 | 1, 2 |" in text
    assert "1. Kumar 2025 (verified: no)\n2. another net\n" in text
    assert "Licence: none \\| declared · Cite: Kumar 2025" in text


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("text", "mapping"),
        ({**ENTRY, "scroes": {}}, "scroes"),
        ({k: v for k, v in ENTRY.items() if k != "source"}, "source"),
        ({**ENTRY, "task": "classify"}, "classify"),
        ({**ENTRY, "verified": "yes"}, "verified"),
        ({**ENTRY, "scores": {}}, "scores"),
        ({**ENTRY, "scores": {"dice": "1e-3"}}, "dice"),
        ({**ENTRY, "scores": {"dice": float("nan")}}, "dice"),
        ({**ENTRY, "per_class": {"cord": {"dice": None}}}, "dice"),
        ({**ENTRY, "why": None}, "why"),
    ],
)
def test_a_bad_published_row_is_named(tmp_path, entry, message):
    with pytest.raises(DataError, match=message) as error:
        read_datasets(written(tmp_path, [ENTRY, entry]))
    assert "spinal.yaml: published[1]" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["a: [1", "- 1", "\x00"])
def test_a_dataset_yaml_that_is_none_is_named(tmp_path, content):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "x.yaml").write_text(content)
    with pytest.raises(DataError, match=r"x\.yaml") as error:
        read_datasets(tmp_path)
    assert "\n" not in str(error.value)


def test_the_dataset_yamls_of_the_repository_are_sound():
    assert read_datasets(ROOT / "conf")


# ---- the command


def run_verb(*arguments, cwd=None, **variables):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-m", "usbench", "leaderboard", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def place(tmp_path):
    """Options for a small set of results and one published row."""
    for content in (
        make_result(0.7),
        make_result(0.6, 1),
        make_result(0.9, 2, data={**make_result()["data"], "phantom": True}),
    ):
        save_result(tmp_path / "results", Result.from_json(content))
    return ["--results", tmp_path / "results", "--config-dir", written(tmp_path / "conf", [ENTRY])]


@pytest.mark.process
def test_twice_gives_the_same_bytes_and_check_notices_a_change(place, tmp_path):
    top = tmp_path / "results"
    assert run_verb(*place, "--check").returncode == 1
    assert not (top / "LEADERBOARD.md").exists()
    assert run_verb(*place, cwd=tmp_path).returncode == 0
    files = {name: (top / name).read_bytes() for name in ("LEADERBOARD.md", "LEADERBOARD.csv")}
    assert run_verb(*place, cwd="/").returncode == 0
    assert files == {name: (top / name).read_bytes() for name in files}
    assert run_verb(*place, "--check").returncode == 0
    (top / "LEADERBOARD.csv").write_text("by hand")
    differing = run_verb(*place, "--check")
    assert differing.returncode == 1
    assert "LEADERBOARD.csv" in differing.stderr and "LEADERBOARD.md" not in differing.stderr
    assert (top / "LEADERBOARD.csv").read_text() == "by hand"


@pytest.mark.process
def test_phantoms_never_stand_beside_published_or_real_figures(place, tmp_path):
    assert run_verb(*place).returncode == 0
    assert run_verb(*place, "--phantom").returncode == 0
    real = (tmp_path / "results" / "LEADERBOARD.md").read_text()
    phantom = (tmp_path / "results" / "phantom" / "LEADERBOARD.md").read_text()
    assert ".650" in real and ".900" not in real and "U-Net" in real
    assert (
        ".900" in phantom
        and ".650" not in phantom
        and "U-Net" not in phantom
        and "≠" not in phantom
    )
    assert (
        "published"
        not in (tmp_path / "results" / "phantom" / "LEADERBOARD.csv").read_text().split("\n", 1)[1]
    )


@pytest.mark.process
def test_a_damaged_result_is_one_line_and_nothing_is_written(place, tmp_path):
    path = next((tmp_path / "results" / "spinal").rglob("*.json"))
    path.write_text(path.read_text()[:300])
    done = run_verb(*place, "--json", tmp_path / "rows.json")
    assert done.returncode == 1 and str(path) in done.stderr and done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not list(tmp_path.rglob("LEADERBOARD*")) and not (tmp_path / "rows.json").exists()


@pytest.mark.process
def test_json(place, tmp_path):
    assert run_verb(*place, "--json", tmp_path / "rows.json").returncode == 0
    entries = json.loads((tmp_path / "rows.json").read_text())["rows"]
    spinal = [row for row in entries if row["dataset"] == "spinal" and row["task"] == "segment"]
    assert [(row["origin"], row["value"]) for row in spinal] == [
        ("run", pytest.approx(0.65)),
        ("published", 0.553),
    ]


@pytest.mark.process
@pytest.mark.parametrize(
    "options",
    [["--check", "--rescore"], ["--check", "--json", "x.json"], ["--nonsense"]],
)
def test_options_that_contradict_each_other_are_refused(options):
    assert run_verb(*options).returncode == 2


@pytest.mark.process
def test_a_folder_of_configuration_of_ones_own_adds_its_datasets(tmp_path):
    """--config-dir and USBENCH_CONFIG name it, as for other verbs; the shipped datasets stay."""
    own = written(tmp_path / "lab", [ENTRY], name="rings")
    for number, (options, environment) in enumerate(
        ([["--config-dir", own], {}], [[], {"USBENCH_CONFIG": str(own)}])
    ):
        results = tmp_path / f"results-{number}"
        done = run_verb("--results", results, *options, cwd=tmp_path, **environment)
        assert done.returncode == 0, done.stderr
        text = (results / "LEADERBOARD.md").read_text()
        assert "## rings" in text and "## spinal" in text


@pytest.mark.process
def test_a_folder_of_configuration_that_is_missing_is_named(tmp_path):
    done = run_verb("--config-dir", tmp_path / "lap")
    assert done.returncode == 2
    assert "lap: expected a folder of configuration" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.process
def test_help():
    assert "--check" in run_verb("--help").stdout


def test_results_of_two_versions_of_a_protocol_are_not_compared():
    first, second = (Result.from_json(make_result(version=version)) for version in (1, 2))
    check_comparable(Path("a.json"), first, Path("a.json"), first)
    with pytest.raises(DataError, match="expected a result of protocol usbench 1, got usbench 2"):
        check_comparable(Path("b.json"), second, Path("a.json"), first)
