"""A finished run's model, with its trained weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from usbench.errors import ConfigError
from usbench.evaluate.stored_run import find_run_config
from usbench.io.cores import count_cores
from usbench.results.store import load_finished, resolve_result
from usbench.runner import machine
from usbench.runner.config import RunConfig
from usbench.types import Model


def restore_run(word: str, results: Path, runs: Path, device: str) -> tuple[Model, RunConfig]:
    """The model of a result with its trained weights, and the configuration of its training.

    Args:
        word: a result's file, its name, or a run id (or its end).
        results: the folder below which a run id is looked for.
        runs: the folder of runs, which holds the weights.
        device: auto | cpu | cuda | cuda:1. On another kind of device than the training's the
            model computes in fp32.

    Raises:
        ConfigError: the result isn't one of a run.
        DataError: there is no such result, or its run failed.
        RunError: the run's folder or its weights aren't there, or the device can't be used.
    """
    from usbench.runner.experiment import restore_model  # imports torch

    path = resolve_result(word, results)
    result = load_finished(path)
    if result.origin != "run":
        raise ConfigError(
            f"{path}: expected a run of a model, got a result of origin {result.origin}"
        )
    run_id = result.config["transfer"]["run_id"] if result.trained_on else result.run_id
    config = find_run_config(replace(result, run_id=run_id), runs)
    config = replace(config, device=machine.resolve_device(device), threads=count_cores())
    if config.device.split(":")[0] != result.device:
        config = replace(config, precision="fp32")
    return restore_model(config), config
