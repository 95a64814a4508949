"""Do a recorded run again from its result alone, and compare what comes out.

What decides the predictions (configuration, seed, precision, threads) is taken as recorded. What a
result leaves out (folders, tracking) is this machine's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from usbench.datasets import source
from usbench.errors import ConfigError, DataError, RunError
from usbench.io.config import conf_dir
from usbench.io.yaml_file import read_yaml
from usbench.metrics.scores import Figure, figure_values
from usbench.models import weights
from usbench.results.result import Result
from usbench.runner import machine
from usbench.runner.config import RunConfig
from usbench.runner.launch import launch_run
from usbench.runner.resolve import fingerprint, run_ids
from usbench.runner.status import finished_result

Verdict = Literal["identical", "within the interval", "different"]


@dataclass(frozen=True)
class Reproduction:
    """The new result beside the recorded one."""

    verdict: Verdict
    scores: Mapping[str, tuple[float | None, float | None]]  # changed: name → (recorded, now)
    surroundings: tuple[str, ...]  # what else differs: environment, code, data


def rebuild_config(
    result: Result,
    data: Path | None,
    folder: Path,
    weights_file: Path | None = None,
    root: Path | None = None,
) -> RunConfig:
    """The configuration of a result's run, on this machine.

    Args:
        data: the folder of releases, for a run on real images.
        folder: everything that the run writes goes below it.
        weights_file: the starting weights, where the run had some.
        root: the release's folder; None: it lies below `data`.

    Raises:
        ConfigError: the result isn't of a finished training.
        DataError: the data isn't there or isn't the recorded data.
        RunError: the device isn't here, the starting weights aren't the recorded ones, or today's
            adapter is of another version.
    """
    if result.origin != "run" or not result.is_done or result.trained_on:
        raise ConfigError(
            f"{result.run_id}: expected the result of a finished training "
            "(origin run, status done, trained_on null)"
        )
    config = RunConfig.from_mapping(
        result.config,
        root="",
        runs=folder / "runs",
        results=folder / "results",
        tracking="none",
        debug=False,
    )
    check_version(config, result)
    machine.resolve_device(config.device)
    config = with_weights(config, weights_file)
    drawn = bool(config.phantom and config.dataset.phantom)
    drawn = drawn and result.data.fingerprint == source.phantom_fingerprint(
        config.dataset, config.task, config.fold
    )
    if drawn:
        root = source.ensure_phantom(config.dataset, config.task, config.runs)
    else:
        root = find_release(config, data, root)
    config = replace(config, root=root)
    present = fingerprint(config, config.open_dataset(), drawn)
    if present != result.data.fingerprint:
        raise DataError(
            f"{root}: expected the data of this result (fingerprint "
            f"{str(result.data.fingerprint)[:12]}), got other data ({present[:12]}): files, their "
            "bytes, split or groups differ"
        )
    series, run_id = run_ids(config)
    return replace(config, series=series, run_id=run_id)


def check_version(config: RunConfig, result: Result) -> None:
    """Raise RunError if the model's adapter is of another version now, as its training differs."""
    path = conf_dir() / "model" / f"{config.model.name}.yaml"
    current = read_yaml(path)["version"] if path.is_file() else config.model.version
    if current != config.model.version:
        raise RunError(
            f"{result.run_id}: expected version {config.model.version} of {config.model.name}'s "
            f"adapter, got {current}, which trains differently; use the code of the result "
            f"(commit {str(result.code.commit)[:12]})"
        )


def find_release(config: RunConfig, data: Path | None, root: Path | None) -> Path:
    """The release's folder: `root`, else the one below `data`, else USBENCH_DATA, else ./data.

    Raises:
        DataError: it isn't there.
    """
    data = Path(data or os.environ.get("USBENCH_DATA") or "data")
    root = (root or data / config.dataset.name).absolute()
    if not root.is_dir():
        kind = "phantom (usbench draws another now)" if config.phantom else "release"
        raise DataError(
            f"{root}: the {kind} of this result isn't here; name the folder of releases "
            "with --data, or its own with --root"
        )
    return root


def with_weights(config: RunConfig, weights_file: Path | None) -> RunConfig:
    """The configuration with the file of its starting weights, where it has some.

    Raises:
        RunError: the file isn't the recorded one.
    """
    recorded, build = config.weights, config.model.build
    if recorded is None or recorded.sha256 == build.get("weights"):  # a word, such as imagenet
        return config
    if weights_file is None or weights.weights_sha256(str(weights_file)) != recorded.sha256:
        got = "none" if weights_file is None else str(weights_file)
        raise RunError(
            f"--weights: expected the starting weights with sha256 {str(recorded.sha256)[:12]} "
            f"(from {recorded.origin}), got {got}"
        )
    build = {**build, "weights": str(weights_file.absolute())}
    return replace(config, model=replace(config.model, build=build))


def run_again(config: RunConfig) -> Result:
    """Do the run in a new process, or resume one that was stopped; return its result.

    Raises:
        RunError: it fails.
    """
    if finished_result(config.address) is None and launch_run(config, overwrite=False):
        raise RunError("the run failed, see above; there is nothing to compare")
    result = finished_result(config.address)
    if result is None:
        raise RunError(f"the run left no result in {config.results}; was it removed meanwhile?")
    return result


def compare(old: Result, new: Result) -> Reproduction:
    """Compare a new result with the recorded one.

    identical: the stored predictions are the same bytes. within the interval: the new primary
    score lies in the recorded interval. Else different.
    """
    assert old.primary and old.predictions and new.predictions  # both are done
    before, now = figure_values(old.scores), figure_values(new.scores)
    verdict: Verdict = "different"
    if old.predictions.sha256 == new.predictions.sha256:
        verdict = "identical"
    elif is_inside(now.get(old.primary.name), old.scores[old.primary.name]):
        verdict = "within the interval"
    changed = {
        name: (value, now.get(name)) for name, value in before.items() if value != now.get(name)
    }
    return Reproduction(verdict, changed, tuple(differences(old, new)))


def is_inside(value: float | None, figure: Figure) -> bool:
    """Whether a value lies in a figure's interval; False without a value or an interval."""
    if value is None or figure.low is None or figure.high is None:
        return False
    return figure.low <= value <= figure.high


def differences(old: Result, new: Result) -> Iterator[str]:
    """What differs in run id, machine, packages and code, a line each."""
    pairs: list[tuple[str, object, object]] = [
        ("run_id", old.run_id, new.run_id),
        ("device", old.device, new.device),
        ("precision", old.precision, new.precision),
        ("threads", old.threads, new.threads),
        ("processor", old.machine.processor, new.machine.processor),
        ("gpu", old.machine.gpu, new.machine.gpu),
    ]
    before, after = old.machine.packages, new.machine.packages
    for package in sorted({*before, *after}):
        pairs.append(
            (package, before.get(package, "not in the result"), after.get(package, "not installed"))
        )
    pairs += [
        ("code version", old.code.version, new.code.version),
        ("code commit", old.code.commit, new.code.commit),
        ("code dirty", old.code.dirty, new.code.dirty),
    ]
    for name, recorded, now in pairs:
        if recorded != now:
            yield f"{name}: {recorded}, now {now}"
