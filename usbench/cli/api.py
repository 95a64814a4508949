"""The public Python API: what `import usbench` offers.

It lies here because this package alone may import every other one, and because it does what the
command does. Imports stay inside the functions: reading results loads no Hydra, and scoring no
torch. Every function raises errors of `usbench.errors`, all of them a `UsbenchError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usbench.cli.options import own_config_dir, own_modules
from usbench.errors import ConfigError, DataError, RunError
from usbench.types import Model, Target, Task

if TYPE_CHECKING:
    from pandas import DataFrame

    from usbench.datasets.config import DatasetConfig
    from usbench.datasets.dataset import Dataset
    from usbench.metrics.scores import Scores
    from usbench.results.result import Result

NOT_ONE_RUN = (
    "grids",
    "plan",
    "planned",
    "study",
    "sweep",
)  # keys of the command that make no result


# ---- data


def load_dataset(
    name: str,
    data: str | Path | None = None,
    task: Task | None = None,
    source: str = "real",
    config_dir: str | Path | None = None,
    **overrides: object,
) -> Dataset:
    """Open a dataset: index its files and divide them; images are decoded when asked for.

    Args:
        name: of the dataset, such as "usgra"; `usbench list` shows all.
        data: the folder of releases, `<data>/<name>/…`; None: USBENCH_DATA, else ./data.
        task: "segment", "detect" or "landmark"; None: the dataset's only one.
        source: "real": the release; "phantom": images drawn by usbench, written below `runs`;
            "auto": a phantom only where no release was named and none is there.
        config_dir: a folder of configuration of your own; None: USBENCH_CONFIG.
        overrides: keys of the command, such as `fold=0` or `runs="…"`; a key with a dot as
            `**{"dataset.annotator": 2}`.

    Returns:
        The dataset. `.train`, `.val` and `.test` are sequences of `usbench.types.Sample`: image
        (H, W) uint8, target in native px, mm_per_px (row, column) or None. `.classes` are names in
        the order of planes, labels and paths; `.citation` and `.licence` are text or None;
        `.phantom` tells whether usbench drew the images.

    Raises:
        ConfigError: an unknown name, task, source or key.
        DataError: the release is missing or damaged.
    """
    from usbench.datasets.config import DatasetConfig
    from usbench.io.config import compose_alone

    keys: dict[str, object] = {"dataset": name, "source": source, **overrides}
    if data is not None:
        keys["data"] = data
    with own_modules():
        composed = compose_alone(to_overrides(keys), config_folder(config_dir))
        dataset = DatasetConfig.from_mapping(composed["dataset"])
        return open_located(dataset, choose_task(dataset, task), composed)


def choose_task(dataset: DatasetConfig, task: str | None) -> Task:
    """The task, or the dataset's only one; ConfigError where there is another choice to make."""
    tasks = list(dataset.views)
    if task is None and len(tasks) == 1:
        return tasks[0]
    if task not in tasks:
        raise ConfigError(f"task={task}: expected one of {', '.join(tasks)} for {dataset.name}")
    return task


def open_located(dataset: DatasetConfig, task: Task, composed: Mapping[str, Any]) -> Dataset:
    """Find the release, or write the phantom, and index it; as a run does."""
    from usbench.datasets import source
    from usbench.runner.resolve import resolve_fold

    fold = resolve_fold(dict(composed), dataset)
    released, root = source.locate(dataset, composed["data"], composed["source"])
    phantom = not released or (root / source.MARK).is_file()
    if phantom:
        dataset = dataset.without_release()
    if not released:
        root = source.ensure_phantom(dataset, task, Path(str(composed["runs"])).absolute())
    return source.open_dataset(dataset, task, root, phantom=phantom, fold=fold)


# ---- scores


def score(
    targets: Iterable[Target],
    predictions: Iterable[Target],
    task: Task,
    classes: Sequence[str],
    protocol: str | Sequence[str] = "usbench",
    groups: Iterable[object] | None = None,
    mm_per_px: tuple[float, float] | Iterable[tuple[float, float] | None] | None = None,
) -> Scores:
    """Score predictions by the scorers that runs are scored by.

    Args:
        targets: one per image, in native px: `Masks`, `Boxes` or `Landmarks` of `usbench.types`.
        predictions: in the same order; may be an iterator, such as `model.predict(images)`.
            Masks have the target's planes (C, H, W); boxes have scores (N,) in 0..1.
        task: "segment", "detect" or "landmark".
        classes: names in the order of planes, labels or paths.
        protocol: its name, or several, the main one first (`usbench list` shows all). "usbench"
            is the one that usbench reports a task by: "usbench" for segment, "coco" for detect,
            "radial" for landmark.
        groups: the patient, animal or video of each image. With at least 5 groups, figures have
            95 % intervals, which resample whole groups; None: no intervals.
        mm_per_px: segment and landmark: the (row, column) length of a pixel's sides in mm, one pair
            for all images, or one per image with None where it is unknown. Distances are then in mm
            too (`_mm`); without it they are in px alone (`_px`).

    Returns:
        The scores. `.protocol.scores["dice"].value` is a figure over all classes, None where it is
        undefined, with `.reason`; `.low` and `.high` are its interval; `.protocol.per_class` has
        the figures by class; `.cases` has a row per image and class.

    Raises:
        ConfigError: an unknown task or protocol, or `mm_per_px` for detect.
        DataError: targets, predictions, classes, groups and pixel sizes don't fit each other.
    """
    from usbench.metrics.pairs import score_pairs

    protocols = [protocol] if isinstance(protocol, str) else list(protocol)
    return score_pairs(targets, predictions, task, classes, protocols, groups, mm_per_px)


# ---- runs


def run(
    dataset: str, model: str, *, config_dir: str | Path | None = None, **overrides: object
) -> Result:
    """Do one run as the command does: train, predict, score, record; in a child process.

    A finished run is not done again: its result is read. An interrupted one is resumed. Progress
    and tables are printed as by the command.

    Args:
        dataset: name of the dataset.
        model: name of the model.
        config_dir: a folder of configuration of your own; None: USBENCH_CONFIG. The child process
            imports your own classes from the working directory, or as installed.
        overrides: further keys of the command, such as `seed=1`, `recipe="quick"`,
            `epochs=30`, `loss={"_target_": "lab.losses.Tversky"}`, `results="results"`; a key with
            a dot as `**{"model.build.weights": "imagenet"}`.

    Returns:
        The result of the training. Those of `evaluate_on` are saved below `results` too.

    Raises:
        ConfigError: an unknown name or key, or a combination that can't be.
        DataError: the release is missing or damaged.
        RunError: the run failed; the message says why.
    """
    from usbench.cli.ending import explain_error
    from usbench.cli.run import FailedRunError, do_plan
    from usbench.io.config import begin_composing, compose
    from usbench.sweep.studies import plan_tuned_run

    for key in NOT_ONE_RUN:
        if overrides.get(key) not in (None, False):
            raise ConfigError(
                f"{key}={overrides[key]}: usbench.run does one run; sweeps, searches and plans are "
                "the command's (python -m usbench)"
            )
    keys = to_overrides({"dataset": dataset, "model": model, **overrides})
    try:
        with own_modules():
            with begin_composing(config_folder(config_dir)) as search_path:
                keys += search_path
                composed = compose(keys)
                plan = plan_tuned_run(composed, keys)
            return do_plan(plan, composed)
    except FailedRunError as error:
        kind = ConfigError if error.exit_code == ConfigError.exit_code else RunError
        raise kind(error.reason) from None
    except OSError as error:
        raise RunError(explain_error(error)) from error


def load_model(
    run_id_or_file: str | Path,
    results: str | Path = "results",
    runs: str | Path = "runs",
    device: str = "auto",
) -> Model:
    """Restore the model of a finished run with its best weights.

    Args:
        run_id_or_file: the run id (or its end), or the file or file name of its result.
        results: the folder of results, where a run id is looked for.
        runs: the folder of runs, which holds the weights.
        device: "auto", "cpu", "cuda" or "cuda:1".

    Returns:
        The model. `model.predict(images)` takes (H, W) uint8 arrays and yields a prediction for
        each, in native px, in order.

    Raises:
        ConfigError: the result isn't one of a run.
        DataError: there is no such result, or its run failed.
        RunError: the run's folder or its weights aren't there, or the device can't be used.
    """
    from usbench.evaluate.restore import restore_run

    with own_modules():
        model, _ = restore_run(str(run_id_or_file), Path(results), Path(runs), device)
    return model


# ---- results


def load_results(folder: str | Path = "results", phantom: bool = False) -> list[Result]:
    """Read the results of a folder, failed ones too.

    Args:
        folder: `results` of the runs.
        phantom: read the results on phantoms, which lie apart, instead of those on real data.

    Returns:
        The results, in order of their path. `.scores["dice"].value` is a figure, `.primary` the
        score to rank by, `.is_done` tells whether there are scores.

    Raises:
        DataError: there is no such folder, or a result is damaged or lies in a wrong place.
    """
    from usbench.results import store

    path = Path(folder)
    if not path.is_dir():
        raise DataError(f"{path}: expected a folder of results, found no such folder")
    return store.load_results(path, phantom)


def to_frame(results: Iterable[Result]) -> DataFrame:
    """Make a pandas table of results: one row per result, protocol, class and score.

    Args:
        results: from `load_results` or `run`.

    Returns:
        A `pandas.DataFrame`. `class` is missing for figures over all classes; `value`, `low` and
        `high` are missing where undefined (`reason`); a score's name states its unit (`_px`,
        `_mm`), others are shares from 0 to 1. A result that isn't done has one row without a score.

    Raises:
        RunError: pandas isn't installed.
    """
    from usbench.results.rows import COLUMNS, NUMBERS, figure_rows

    try:
        import pandas
    except ImportError as error:
        raise RunError(f"to_frame: pandas isn't installed ({error}); pip install pandas") from error
    rows = [row for result in results for row in figure_rows(result)]
    frame = pandas.DataFrame(rows, columns=COLUMNS)
    return frame.astype(dict.fromkeys(NUMBERS, "float64"))


# ---- keys, and configuration of your own


def to_overrides(keys: Mapping[str, object]) -> list[str]:
    """Keys and values as the command's KEY=VALUE; ConfigError for a value that can't be one."""
    from usbench.io.overrides import to_override

    return [to_override(key, value) for key, value in keys.items()]


def config_folder(config_dir: str | Path | None) -> Path | None:
    """The user's folder of configuration: the one that was named, else USBENCH_CONFIG's."""
    return own_config_dir() if config_dir is None else Path(config_dir)
