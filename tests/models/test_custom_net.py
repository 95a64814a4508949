"""A lab's nn.Module from one YAML, outside the repository; what is no such module."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from tests.evaluate.test_transfer import run
from usbench.errors import ConfigError
from usbench.models.segmenter import Segmenter
from usbench.results.store import load_result
from usbench.runner.experiment import Journal, build_model
from usbench.runner.resolve import resolve_config
from usbench.runner.tracking.background import Untracked

RECIPE = {
    "size": [32, 64],
    "batch": 2,
    "epochs": 1,
    "lr": 1e-2,
    "weight_decay": 0,
    "schedule": "onecycle",
    "augment": {},
}
YAML = """
defaults:
  - /metric@_global_.metric: segment
name: tiny_net
task: segment
version: 1
pickled: false
bf16: [cpu, cuda]
build:
  _target_: usbench.models.segmenter.Segmenter
  net: {_target_: net_of_a_lab.Net, _partial_: true, width: 4}
recipes:
  quick:
    {size: 64, epochs: 2, batch: 4, lr: 1.0e-2, weight_decay: 0, schedule: onecycle,
     augment: {hflip: 0.5}}
"""
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, classes, width):
        super().__init__(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, classes, 1))
"""


@pytest.mark.process
def test_a_lab_s_module_runs_and_is_evaluated_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "tiny_net.yaml").write_text(textwrap.dedent(YAML))
    (tmp_path / "net_of_a_lab.py").write_text(NET)
    overrides = [
        "--config-dir",
        "conf",
        "dataset=usgra",
        "model=tiny_net",
        "source=phantom",
        "tracking=none",
        "device=cpu",
    ]
    assert run(*overrides, "threads=1", "dataset.phantom.size=[96,128]") == 0
    (path,) = (tmp_path / "results").glob("phantom/usgra/segment/*.json")
    result = load_result(path)
    assert result.model == "tiny_net" and result.parameters == (9 + 1) * 4 + (4 + 1) * 3
    assert result.config["model"]["build"]["net"]["width"] == 4


def segmenter(net, exclusive=True, **changes):
    return Segmenter(2, exclusive, {**RECIPE, **changes}, net)


@pytest.mark.parametrize(("exclusive", "planes"), [(True, 3), (False, 2)])
def test_exclusive_and_overlapping_differ_by_a_plane(exclusive, planes):
    seen: list[int] = []

    def net(classes: int) -> nn.Module:
        seen.append(classes)
        return nn.Conv2d(1, classes, 1)

    built = segmenter(net, exclusive).build()
    assert seen == [planes] and built(torch.zeros(1, 1, 8, 8)).shape == (1, planes, 8, 8)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda classes: nn.Conv2d(1, classes + 1, 1), "got \\(1, 4, 32, 64\\)"),
        (lambda classes: nn.Conv2d(1, classes, 3, stride=2), "logits of shape"),
        (lambda classes: nn.Conv2d(3, classes, 1), "expected input"),
        (lambda: nn.Identity(), "expected a module for"),
        (partial(nn.Conv2d, 1), "expected a module for"),
    ],
    ids=["planes", "size", "channels", "no classes", "other arguments"],
)
def test_what_gives_no_logits_is_one_line(net, message):
    with pytest.raises(ConfigError, match=message) as caught:
        segmenter(net).build()
    assert "\n" not in str(caught.value)


class WithoutRestore:
    parameters = 1

    def __init__(self, classes, exclusive, recipe):
        pass

    def fit(self, train, val, run):
        raise AssertionError("trained")

    def predict(self, images):
        return iter(())


def test_a_model_without_a_member_is_refused_before_it_trains(compose, tmp_path):
    small = ("dataset.phantom.counts={train:4,val:4,test:4}", "dataset.phantom.size=[64,64]")
    config = resolve_config(compose("model=unet", "recipe=tiny", f"runs={tmp_path}/runs", *small))
    target = {"_target_": f"{__name__}.WithoutRestore"}
    config = replace(config, model=replace(config.model, build=target))
    with pytest.raises(ConfigError, match=r"model=unet: expected a class .*, got one without rest"):
        build_model(config, Journal(tmp_path / "log.csv", Untracked()))
