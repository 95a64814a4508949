"""What is printed before a run, and how long it is expected to take."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.finished import finish
from usbench.datasets.codecs import image
from usbench.datasets.dataset import Dataset
from usbench.results.store import load_result, save_result
from usbench.runner import announce
from usbench.runner.announce import announce_run, describe_images, format_range, run_facts
from usbench.runner.config import Transfer
from usbench.runner.expected_time import ExpectedTime, expected_time
from usbench.types import Record


@pytest.fixture(scope="module")
def finished(compose, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return finish(compose, folder, "usgra", "segment", "threads=2", "precision=fp32")


@pytest.fixture
def run(finished, tmp_path):
    """A finished run whose results a test may change."""
    config, path = finished
    results = tmp_path / "results"
    shutil.copytree(config.results, results)
    return replace(config, results=results), results / path.relative_to(config.results)


def test_a_block_says_what_is_run_without_decoding_an_image(run, capsys, monkeypatch):
    config, _ = run
    monkeypatch.setattr(image, "decode_image", None)
    announce_run(config, config.open_dataset(), earlier_s=200)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"run      {config.run_id} · seed 0 · cpu, fp32, 2 threads",
        "data     usgra segment: 10 train, 2 val, 12 test images, 12 groups in test; "
        "synthetic (a phantom)",
        "images   test: 96 × 128 px, mm per px unknown",
        "classes  nerve, vessel",
        "model    unet: encoder tu-test_resnet, from scratch",
        "recipe   tiny: 2 epochs, batch 4, 64 × 64 px, lr .008",
        f"time     {expected_time(config)}; resumes after 3 min",
    ]
    announce_run(replace(config, study="search"), config.open_dataset())
    assert capsys.readouterr().out == ""


def test_an_evaluation_elsewhere_says_what_was_trained_where(run):
    config, _ = run
    transfer = Transfer("phantom", "0123456789ab", Path("runs"), {}, ("nerve",), ("vessel",))
    config = replace(config, transfer=transfer)
    told = dict(run_facts(config, config.open_dataset(), None))
    assert told["data"].startswith("usgra segment: 12 test images")
    assert told["classes"] == "nerve (left out, unknown to the model: vessel)"
    assert told["model"].endswith("trained on phantom (0123456789ab)")
    assert told["time"] == "unknown: no earlier run like it on this processor"


def test_a_loss_of_the_user_s_is_shown_with_its_arguments(run):
    config, _ = run
    recipe = {**config.model.recipe, "loss": {"_target_": "lab.Tversky", "beta": 0.7}}
    recipe["augment"] = {"_target_": "lab.blur", "_partial_": True}
    config = replace(config, model=replace(config.model, recipe=recipe))
    told = dict(run_facts(config, config.open_dataset(), None))
    assert told["recipe"].endswith("augment lab.blur, loss lab.Tversky(beta .7)")


def test_a_training_without_an_earlier_run_is_estimated_later(run):
    config, _ = run
    time = dict(run_facts(config, config.open_dataset(), None))["time"]
    assert time.endswith("; estimated after the first epoch")


def test_many_classes_are_counted(run):
    config, _ = run
    dataset = replace(config.open_dataset(), classes=tuple(f"landmark-{n:02}" for n in range(38)))
    told = announce.describe_classes(config, dataset)
    assert told == f"{', '.join(dataset.classes[:5])}, … (38 in all)"


def test_sizes_and_pixel_sizes_are_ranges(run, tmp_path):
    config, _ = run
    dataset: Dataset = replace(config.open_dataset(), root=tmp_path)
    image.write_grey(tmp_path / "a.png", np.zeros((48, 64), np.uint8))
    image.write_grey(tmp_path / "b.png", np.zeros((40, 64), np.uint8))
    first = Record("a", "g", "a.png", None, mm_per_px=(0.2, 0.1))
    second = Record("b", "g", "b.png", None)
    assert describe_images(dataset, [first, second]) == (
        "test: 40–48 × 64 px, .1–.2 mm per px (known for 1 of 2)"
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [((512.0,), "512"), ((480.0, 512.0), "480–512"), ((0.08, 0.1, 1.25), ".08–1.25")],
)
def test_a_range(values, text):
    assert format_range(values) == text


# ---- how long


def save(config, path, **changes):
    """Another finished run beside the first."""
    return save_result(config.results, replace(load_result(path), **changes))


def test_an_earlier_run_of_the_same_series_says_how_long(run):
    config, path = run
    result = load_result(path)
    assert expected_time(config) == ExpectedTime(1.0, 1, result.date, True, None)
    assert str(expected_time(config)) == f"about 1 s, as the run of {result.date} on this processor"


def test_the_same_series_counts_before_the_same_recipe_and_then_as_many_threads(run):
    config, path = run
    other = {"seconds": {"fit": 500.0}, "date": "2026-01-01"}
    save(config, path, run_id="a" * 12, series="b" * 12, **other)
    save(config, path, run_id="c" * 12, seed=1, threads=8, **other)
    save(config, path, run_id="d" * 12, seed=2, seconds={"fit": 3.0, "predict": 2.0})
    expected = expected_time(config)
    assert expected.seconds == 3.0 and expected.runs == 2  # the median of 1 and 5
    assert str(expected) == "about 3 s, as the median of 2 runs on this processor"
    # the first look at a folder is remembered
    assert "8 threads" in str(replace(expected, threads=8))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"series": "b" * 12},
            "about 1 s, as the run of {date} on this processor (other settings)",
        ),
        ({"threads": 8}, "about 1 s, as the run of {date} on this processor (8 threads)"),
        ({"recipe": "standard"}, "None"),
        ({"device": "cuda"}, "None"),
        ({"trained_on": "phantom"}, "None"),
    ],
)
def test_what_differs_is_said_or_rules_a_run_out(run, changes, expected):
    config, path = run
    save(config, path, **changes)
    assert str(expected_time(config)) == expected.format(date=load_result(path).date)


def test_another_processor_says_nothing(run):
    config, path = run
    machine = replace(load_result(path).machine, processor="another")
    save(config, path, machine=machine)
    assert expected_time(config) is None
