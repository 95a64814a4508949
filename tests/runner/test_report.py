"""What a finished run prints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.helpers.finished import finish
from usbench.cli import explain
from usbench.results.result import Leakage, Validation
from usbench.results.store import load_result
from usbench.runner.report import describe_cost, describe_intervals, report_result, report_trial


@pytest.fixture(scope="module")
def masks(compose, tmp_path_factory):
    return finish(compose, tmp_path_factory.mktemp("masks"), "usgra", "segment")


def area_error(target, prediction):
    """A figure of one's own: 0, as a moved prediction has the target's area."""
    return abs(float(target.planes.sum()) - float(prediction.planes.sum())) / target.planes.size


area_error.higher_is_better = False


def test_figures_of_ones_own_are_shown(compose, tmp_path, capsys):
    extra = "{_target_: tests.runner.test_report.area_error, _partial_: true}"
    _, path = finish(compose, tmp_path, "usgra", "segment", f"+metric.extra.area_error={extra}")
    capsys.readouterr()
    report_result(load_result(path), path, [])
    _, _, header, _, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:5] == ["class", "dice", "area_error", "↓", "iou"]
    (line,) = [row for row in lines if row.startswith("all classes")]
    assert " .000 " in line
    assert explain.main([str(path), "--runs", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    assert "figures of the metric, under any protocol: area_error ↓ .000" in said


@pytest.mark.parametrize(
    ("dataset", "task", "columns", "protocol"),
    [
        (
            "kidney",
            "segment",
            ["dice", "iou", "nsd", "hd95_mm"],
            "usbench 1: mean over images, then classes; absent classes skipped",
        ),
        (
            "usgra",
            "detect",
            ["map50_95", "map50", "map75", "ar100"],
            "coco 2: COCO mAP, 100 boxes per class",
        ),
        (
            "unity",
            "landmark",
            ["mre_px", "mre_mm", "curve_mean_mm", "sdr_px_4"],
            "radial 2: distances of every seen point and curve",
        ),
    ],
)
def test_a_report(compose, tmp_path, capsys, dataset, task, columns, protocol):
    config, path = finish(compose, tmp_path, dataset, task)
    result = load_result(path)
    capsys.readouterr()
    report_result(result, path, [tmp_path / "overlays.png"], tmp_path / "gallery")
    _, title, header, _, *lines = capsys.readouterr().out.splitlines()
    model, run_id = result.model, config.run_id
    assert title.startswith(f"{dataset} {task} · {model} · tiny · seed 0 · ")
    assert header.split() == ["class", *columns, "n"]
    labels = [*result.protocol.per_class, "all classes", "target score"]
    assert [line.split("  ")[0] for line in lines[: len(labels)]] == labels
    notes = lines[len(labels) : lines.index("")]
    assert all(note.startswith("no interval") for note in notes)
    *measurements, facts = "\n".join(lines).split("\n\n")[1:]
    assert len(measurements) == ("measure" in [part.name for part in result.protocols])
    told = [line.split(maxsplit=1) for line in facts.splitlines()]
    assert [name for name, _ in told] == [
        *("intervals", "protocol", "cost", "overlays", "gallery", "phantom", "result")
    ]
    values = dict(told)
    assert values["protocol"] == (
        f"{protocol} (usbench explain {run_id} shows every protocol and its definition)"
    )
    assert "never compared with published ones" in values["phantom"]
    assert values["result"] == str(path)


def test_a_report_on_real_data_says_what_to_mistrust(masks, capsys):
    config, path = masks
    result = load_result(path)
    leakage = Leakage(1, "1 of the 12 test images shows what a training image shows", ("a",))
    data = replace(result.data, phantom=False, leakage=leakage)
    protocol = result.protocol
    clean = {f"{name}:no-leak": figure for name, figure in protocol.scores.items()}
    protocol = replace(protocol, scores={**protocol.scores, **clean})
    result = replace(result, data=data, protocols=(protocol,))
    report_result(result, path, [])
    out = capsys.readouterr().out
    assert f"\nwithout {leakage.n} images" in out and f"\nleakage    {leakage.description}\n" in out
    assert "phantom" not in out.partition("class")[2].replace(str(path), "")
    assert describe_intervals(result).endswith(f"; too narrow: {config.dataset.unknown_groups}")


def test_the_cost_of_a_run(masks):
    result = load_result(masks[1])
    result = replace(
        result,
        seconds={"fit": 1500.0, "score": 0.4},
        parameters=1234,
        precision="fp32",
        threads=2,
    )
    assert describe_cost(result) == (
        "fit 25 min, score 0 s; 1,234 parameters; cpu, fp32, 2 threads"
    )


def test_a_trial_shows_its_validation_alone(masks, capsys):
    result = load_result(masks[1])
    report_trial(replace(result, validation=Validation("dice", 0.50004)))
    assert capsys.readouterr().out == "validation: dice .500\n"
