"""Training and prediction on a GPU. The same functions run on the CPU, to try them."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from scripts import gpu_checks
from scripts.gpu_checks import WITHOUT_WAITS
from tests.helpers.devices import DEVICES, TRAINING_DEVICES
from usbench.models import loop
from usbench.runner import launch
from usbench.runner.config import RunConfig
from usbench.runner.resolve import resolve_config
from usbench.runner.resources import reserve_slot
from usbench.runner.status import stored_result

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("device", TRAINING_DEVICES)
@pytest.mark.parametrize("name", WITHOUT_WAITS)
def test_no_step_of_an_epoch_waits_for_the_device(name, device, tmp_path):
    """A wait raises, but for the first epoch's, in which constants are sent."""
    waits = gpu_checks.count_waits(name, device, tmp_path, mode="error")
    assert waits.steps == 4 and not waits.places


@pytest.mark.train
def test_waits_are_watched_from_the_second_epoch_to_its_last_step(tmp_path, monkeypatch):
    """Every backward pass waits here, as torch would report it; watching is switched in turn."""
    modes = ["default"]
    backward = loop.backward

    def waiting_backward(*arguments: object) -> torch.Tensor:
        if modes[-1] == "warn":
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        return backward(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(gpu_checks, "set_sync_mode", lambda device, mode: modes.append(mode))
    monkeypatch.setattr(loop, "backward", waiting_backward)
    check = gpu_checks.check_waits("unet", "cpu", tmp_path)
    assert modes == ["default", "warn", "default", "default"]
    assert check.found == {"waits": 1} and len(check.notes) == 1
    assert "test_cuda.py" in check.notes[0] and "expected waits ≤ 0, got 1" in check.problems()[0]


@pytest.mark.parametrize("device", TRAINING_DEVICES)
@pytest.mark.parametrize("name", ["unet", "fasterrcnn", "yolov8", "heatmap"])
def test_predictions_are_those_of_the_cpu(name, device, tmp_path):
    repeats = 1 if device == "cpu" else gpu_checks.WHOLE.repeats
    check = gpu_checks.check_predictions(name, device, tmp_path, repeats)
    assert check.found and not check.problems()


@pytest.mark.parametrize("device", TRAINING_DEVICES)
@pytest.mark.parametrize("name", ["unet", "yolov8", "heatmap"])
def test_a_resumed_run_ends_as_a_whole_one(name, device, tmp_path):
    check = gpu_checks.check_resuming(name, device, tmp_path)
    assert not check.problems()
    assert device != "cpu" or check.found["weights"] == 0  # to the bit


@pytest.mark.parametrize("device", TRAINING_DEVICES)
def test_micro_batches_add_up_to_the_gradient_of_the_batch(device, tmp_path):
    assert not gpu_checks.check_micro_batches(device, tmp_path).problems()


@pytest.mark.parametrize("device", TRAINING_DEVICES)
@pytest.mark.parametrize("name", ["unet", "yolov8"])
def test_training_leaves_little_in_memory(name, device, tmp_path):
    recipe = "tiny" if device == "cpu" else gpu_checks.WHOLE.recipe
    check = gpu_checks.check_memory(name, device, tmp_path, recipe)
    assert bool(check.found) == (device != "cpu") and not check.problems()


@pytest.mark.parametrize("device", TRAINING_DEVICES)
@pytest.mark.parametrize("name", ["unet", "heatmap"])
def test_bf16_trains_and_predicts(name, device, tmp_path):
    setting = gpu_checks.load_setting(name)
    run = replace(gpu_checks.run_on(device, tmp_path), precision="bf16")
    model = gpu_checks.train(setting, run)
    scores = next(iter(model.predict([setting.samples[0].image]))).scores
    assert scores is not None and math.isfinite(float(scores.sum()))


# ---- packing


class Slots:
    """Reserves as `reserve_slot` does; notes which GPUs, and how many slots were held at once."""

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self.held = self.most = 0

    @contextmanager
    def reserve(self, numbers: Sequence[str], per_number: int) -> Iterator[str]:
        with reserve_slot(numbers, per_number) as number:
            self.numbers.append(number)
            self.held += 1
            self.most = max(self.most, self.held)
            yield number
            self.held -= 1

    def launch(self, config: RunConfig) -> int:
        """Do a run in a slot of the one GPU, which has two. On a CPU a run takes none itself."""
        if config.device != "cpu":
            return launch.launch_run(config, overwrite=False, per_gpu=2)
        with self.reserve(["0"], 2):
            return launch.launch_run(config, overwrite=False)


@pytest.mark.process
@pytest.mark.parametrize("device", DEVICES)
def test_two_runs_share_one_gpu(device, tmp_path, compose, monkeypatch):
    slots = Slots()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(launch, "reserve_slot", slots.reserve)
    monkeypatch.setattr(launch, "visible_gpus", lambda: ["0"])
    overrides = ["dataset=phantom", "model=unet", "recipe=tiny", "tracking=none", "threads=1"]
    overrides += [f"device={device}", "dataset.phantom.counts={train:8,val:4,test:4}"]
    overrides += [f"runs={tmp_path}/runs", f"results={tmp_path}/results"]
    configs = [resolve_config(compose(*overrides, f"seed={seed}")) for seed in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(slots.launch, configs)) == [0, 0]
    assert slots.numbers == ["0", "0"] and slots.most == 2
    for config in configs:
        result = stored_result(config.address)
        assert result is not None and result.is_done
        assert result.device == device.split(":")[0] and result.tf32 is not True
