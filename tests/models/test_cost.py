"""What a model costs: multiply–adds by hand, times of a clockwork model, the command."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from scripts import bench_models
from tests.evaluate.test_transfer import run
from usbench.cli import leaderboard
from usbench.models import cost
from usbench.results.store import load_cases, load_result

IMAGE = np.zeros((8, 8), np.uint8)


class Convolution:
    """A 3×3 convolution of 1 to 2 channels, without a border: 6 × 6 × 2 × 9 multiply–adds of an 8×8
    image.
    """

    def __init__(self) -> None:
        self.net = torch.nn.Conv2d(1, 2, 3)

    def predict(self, images):
        for image in images:
            yield self.net(torch.from_numpy(image).float()[None, None])


class Clock:
    """A time that passes in sleep alone: what is measured by it is the same on a busy machine."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Clockwork:
    """Takes 10 ms a call and 1 ms an image; more than eight images at once take 50 ms more."""

    def __init__(self) -> None:
        self.batch = 3
        self.seen: list[int] = []

    def predict(self, images):
        images = list(images)
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            self.seen.append(len(part))
            time.sleep(0.01 + 0.001 * len(part) + 0.05 * (len(part) > 8))
            yield from part


def test_multiply_adds_by_hand():
    assert cost.count_multiply_adds(Convolution(), IMAGE) == 6 * 6 * 2 * 9


def test_a_call_is_repeated_but_not_for_ever(monkeypatch):
    calls: list[int] = []
    assert len(cost.time_calls(calls.append)) == cost.TIMES and calls == list(range(cost.TIMES))
    monkeypatch.setattr(cost, "SECONDS", 0.0)
    assert len(cost.time_calls(lambda n: time.sleep(0.01))) == 3


@pytest.fixture
def clockwork(monkeypatch) -> Clockwork:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock.perf_counter)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return Clockwork()


def test_the_best_batch_is_found_and_the_recipe_left_as_it_was(clockwork):
    best, speed = cost.find_best_batch(clockwork, "cpu", [IMAGE], single=1 / 0.011)
    assert best == 8 and speed == pytest.approx(8 / 0.018)
    assert max(clockwork.seen) == 16 and clockwork.batch == 3


def test_a_net_that_takes_one_image_at_a_time_has_no_better_batch():
    assert cost.find_best_batch(Convolution(), "cpu", [IMAGE], single=5.0) == (1, 5.0)


def test_all_figures_of_a_model(clockwork):
    result = cost.measure(clockwork, "cpu", [IMAGE])
    assert [result["latency_ms"][name] for name in ("p50", "p95")] == pytest.approx([11, 11])
    assert result["latency_ms"]["n"] == cost.TIMES
    assert result["fps"] == pytest.approx(1000 / 11, abs=0.1)
    assert result["best_batch"] == 8 and result["peak_memory_mib"] > 10
    assert result["macs"] == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cost")
    message = [
        "dataset=usgra",
        "model=unet",
        "recipe=tiny",
        "source=phantom",
        "tracking=none",
        "device=cpu",
        "threads=1",
    ]
    assert (
        run(
            *message,
            "dataset.phantom.size=[96,128]",
            f"runs={folder}/runs",
            f"results={folder}/results",
        )
        == 0
    )
    return folder


@pytest.mark.process
def test_the_command_measures_saves_and_the_leaderboard_shows(folder, capfd):
    (path,) = (folder / "results" / "phantom" / "usgra" / "segment").glob("*.json")
    before, cases = load_result(path), load_cases(path)
    message = [
        before.run_id,
        "--results",
        f"{folder}/results",
        "--runs",
        f"{folder}/runs",
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    assert bench_models.main([*message, "--json", f"{folder}/cost.json"]) == 0
    assert load_result(path) == before  # nothing is saved unless asked for
    output = capfd.readouterr().out
    assert "unet tiny" in output and "from a native image to its prediction" in output
    (fact,) = json.loads((folder / "cost.json").read_text())
    assert (
        fact["macs"] > 1e7
        and fact["device"] == "cpu"
        and fact["threads"] == 1
        and fact["image"] == [96, 128]
    )
    assert bench_models.main([*message, "--save"]) == 0
    after = load_result(path)
    assert after.cost and replace(after, cost=None) == before and load_cases(path) == cases
    assert leaderboard.main(["--results", f"{folder}/results", "--phantom"]) == 0
    text = (folder / "results" / "phantom" / "LEADERBOARD.md").read_text()
    assert "| mul–adds |" in text and "| training h |" in text


@pytest.mark.process
def test_what_cannot_be_measured_is_one_line(folder, tmp_path, capsys):
    (path,) = (folder / "results" / "phantom" / "usgra" / "segment").glob("*.json")
    key = load_result(path).run_id
    assert (
        bench_models.main(
            [key, "--results", f"{folder}/results", "--runs", str(tmp_path), "--device", "cpu"]
        )
        == 1
    )
    assert "no run of this result found" in capsys.readouterr().err
    assert bench_models.main(["0123456789ab", "--results", f"{folder}/results"]) == 1
