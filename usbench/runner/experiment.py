"""The story of one run: open the data, fit, predict, score, record."""

from __future__ import annotations

import csv
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from usbench.datasets.dataset import Dataset, Samples
from usbench.errors import ConfigError, RunError, UsbenchError, in_one_line
from usbench.io.config import build
from usbench.metrics.scores import Scores
from usbench.results import scoring
from usbench.results.gallery.make import make_gallery_after_run
from usbench.results.gallery.sheet import draw_overlays
from usbench.results.kept_predictions import pack_predictions, why_not_kept
from usbench.results.predictions import StoredPredictions, read_predictions, write_predictions
from usbench.results.result import Result
from usbench.results.store import Case, hash_case_ids
from usbench.runner import report
from usbench.runner.announce import announce_run
from usbench.runner.config import ModelConfig, RunConfig, Transfer, read_config, write_config
from usbench.runner.device_histogram import histogram_on
from usbench.runner.facts import done_result
from usbench.runner.inputs import Inputs, array_cache
from usbench.runner.publish import ALONE, RunLock, remove_checkpoints
from usbench.runner.tracking import mlflow_store
from usbench.runner.tracking.background import (
    LOG,
    BackgroundTracker,
    Tracker,
    Untracked,
    read_log,
)
from usbench.runner.tracking.inputs import SplitInput
from usbench.runner.transfer import ClassMap
from usbench.types import Model, Run, Split, Target

MODEL_MEMBERS = {"fit", "restore", "predict", "parameters"}
CONTEXTS: Mapping[Split, str] = {"train": "training", "val": "validation", "test": "testing"}


def train_and_test(config: RunConfig, lock: RunLock = ALONE) -> Result:
    """Do one run and publish its result. An interrupted run resumes at its last checkpoint."""
    config.run_dir.mkdir(parents=True, exist_ok=True)
    dataset = config.open_dataset()
    inputs = Inputs.record(config, dataset)
    train, val, test = dataset.train, dataset.val, dataset.test
    with open_tracker(config, dataset) as tracker:
        journal = Journal(config.run_dir / LOG, tracker, lock.check)
        announce_run(config, dataset, journal.earlier_s)
        clock = Clock(journal.earlier_s)
        model, run = build_model(config, journal)
        model.fit(train, val, run)
        restore_weights(config.model, model, run)  # as `usbench predict` will
        clock.end_stage("fit")
        lock.check()
        validation = store_predictions(config, "val", val, model.predict(val.images()))
        predictions = store_predictions(config, "test", test, model.predict(test.images()))
        clock.end_stage("predict")
        selection_score = scoring.selection_score(validation)
        thresholds = scoring.choose_thresholds(validation)
        scores = score(config, predictions, thresholds)
        clock.end_stage("score")
        result = done_result(
            config, dataset, scores, selection_score, clock.seconds, model.parameters
        )
        inputs.require_unchanged()
        return finish_run(config, result, predictions, thresholds, scores.cases, lock, tracker)


def evaluate_elsewhere(config: RunConfig, transfer: Transfer, lock: RunLock) -> Result:
    """Score a trained model on another dataset's test images and publish the result.

    The thresholds that it needs were chosen on the validation images of its own training.
    """
    clock = Clock()
    trained = read_config(transfer.runs / transfer.run_id / "config.yaml")
    trained = replace(
        trained,
        runs=transfer.runs,
        device=config.device,
        precision=config.precision,
        threads=config.threads,
    )
    dataset = config.open_dataset()
    inputs = Inputs.record(config, dataset)
    model = restore_model(trained)
    clock.end_stage("load")
    announce_run(config, dataset)
    test = dataset.test
    mapped = ClassMap.of(transfer, trained.view).apply(model.predict(test.images()))
    predictions = store_predictions(config, "test", test, mapped)
    clock.end_stage("predict")
    scores = score(config, predictions)
    clock.end_stage("score")
    result = done_result(
        config, dataset, scores, transfer.validation, clock.seconds, model.parameters
    )
    inputs.require_unchanged()
    return finish_run(config, result, predictions, {}, scores.cases, lock, Untracked())


def finish_run(
    config: RunConfig,
    result: Result,
    predictions: StoredPredictions,
    thresholds: Mapping[str, float],
    cases: Sequence[Case],
    lock: RunLock,
    tracker: Tracker,
) -> Result:
    """Publish the result with its case table, draw its pictures and report it.

    Args:
        predictions: of the test split.
        thresholds: the scorer's arguments that were chosen on validation.
        cases: the scorer's case table, with the cases' names as in the release.
    """
    dataset = config.dataset
    title = f"{dataset.name} · {config.model.name} · {config.recipe} · seed {config.seed}"
    attribution = None if config.phantom else dataset.attribution
    leaking = dataset.leakage.images if dataset.leakage else ()
    overlays = draw_overlays(predictions, cases, title, attribution, leaking)
    table = hash_case_ids(cases, dataset.redistribute, dataset.name)
    is_kept = not config.study and why_not_kept(result) is None
    kept = pack_predictions(config.run_dir, thresholds) if is_kept else None
    path = lock.publish(config, result, table, kept)
    remove_checkpoints(config)
    tracker.finish("FINISHED", result, overlays if dataset.redistribute == "images" else (), path)
    if config.study:
        report.report_trial(result)
    else:
        gallery = make_gallery_after_run(path, predictions)
        report.report_result(result, path, overlays, gallery)
    return result


def store_predictions(
    config: RunConfig, split: Split, samples: Samples, predictions: Iterator[Target]
) -> StoredPredictions:
    """Write one split's predictions into the run's folder, as they come, and read them back."""
    histogram = None if config.device == "cpu" else histogram_on(config.device)
    write_predictions(config.run_dir, split, samples, predictions, histogram)
    return read_predictions(config.run_dir, split, samples)


def score(
    config: RunConfig,
    predictions: StoredPredictions,
    thresholds: Mapping[str, float] | None = None,
) -> Scores:
    """Score test predictions by the run's metric. thresholds: those chosen on validation."""
    leakage = config.dataset.leakage
    return scoring.score(config.metric, predictions, thresholds, leakage.images if leakage else ())


# ---- the model


def build_model(config: RunConfig, journal: Journal) -> tuple[Model, Run]:
    """The model, and what it may know of its run; torch is imported here.

    Raises:
        RunError: torch can't use the device.
        ConfigError: the model lacks a member of `usbench.types.Model`.
    """
    import torch

    # timm < 1.0.23, which nnunetv2 requires, warns with a current torch
    warnings.filterwarnings("ignore", r"`torch\.jit", FutureWarning)
    if config.device != "cpu" and not torch.cuda.is_available():
        raise RunError(
            f"device={config.device}: this torch ({torch.__version__}) can't use it; set device=cpu"
        )
    torch.set_num_threads(config.threads)
    if config.device != "cpu":
        torch.cuda.set_device(config.device)  # what takes the current GPU takes this one
    # fp32 is fp32 on a GPU too; torch's own default has TF32 in convolutions.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    view, node = config.view, config.model
    model: Model = build(
        node.build, classes=len(view.classes or ()), exclusive=view.exclusive, recipe=node.recipe
    )
    missing = MODEL_MEMBERS - set(dir(model))
    if missing:
        raise ConfigError(
            f"model={node.name}: expected a class with {', '.join(sorted(MODEL_MEMBERS))} as in "
            f"usbench.types.Model, got one without {', '.join(sorted(missing))}"
        )
    assert config.seed is not None  # only external predictions have none
    return model, Run(
        dir=config.run_dir,
        device=config.device,
        seed=config.seed,
        precision=config.precision,
        threads=config.threads,
        score=scoring.SELECTION[config.task],
        log=journal.log,
        cache=array_cache(config),
    )


def restore_model(config: RunConfig) -> Model:
    """A finished run's model with its best weights.

    Raises:
        RunError: the weights aren't there, or aren't this model's.
    """
    weights = sorted(config.run_dir.glob("best.*"))
    if not weights:
        raise RunError(
            f"{config.run_dir}: expected the weights of a finished run (best.*), got none; "
            "run it again"
        )
    model, run = build_model(config, Journal(config.run_dir / LOG, Untracked()))
    restore_weights(config.model, model, run)
    return model


def restore_weights(node: ModelConfig, model: Model, run: Run) -> None:
    """Let the model load its best weights. Raises RunError where it can't."""
    try:
        model.restore(run)
    except UsbenchError:
        raise
    except Exception as error:  # unpickling any bytes may raise anything
        weights = next(iter(sorted(run.dir.glob("best.*"))), run.dir)
        raise RunError(
            f"restore() of {node.build['_target_']} failed: {type(error).__name__}: "
            f"{in_one_line(error)[:200]}; it was to load {weights}: mend restore(), or if the "
            "file is damaged, run it again with overwrite=true"
        ) from error


# ---- time, curves and tracking


class Clock:
    """Seconds per stage. earlier_s: of the first stage, spent by interrupted runs before."""

    def __init__(self, earlier_s: float = 0.0) -> None:
        self._start = time.monotonic() - earlier_s
        self.seconds: dict[str, float] = {}

    def end_stage(self, name: str) -> None:
        """The time since the last stage belongs to this one."""
        now = time.monotonic()
        self.seconds[name], self._start = round(now - self._start, 1), now


class Journal:
    """Curves as a CSV in the run's folder (step, name, value, seconds), and to the tracker.

    check is called before each value, and so before each checkpoint, which a model writes right
    after its values.
    """

    def __init__(
        self, path: Path, tracker: Tracker, check: Callable[[], None] = ALONE.check
    ) -> None:
        self._path, self._tracker, self._check = path, tracker, check
        # of the interrupted runs that this one resumes
        self.earlier_s = max((row.seconds for row in read_log(path)), default=0.0)
        self._start = time.monotonic() - self.earlier_s

    def log(self, name: str, value: float, step: int) -> None:
        """Log one value of one epoch."""
        self._check()
        with self._path.open("a") as file:
            csv.writer(file).writerow((step, name, value, f"{time.monotonic() - self._start:.1f}"))
        self._tracker.log(name, value, step)


@contextmanager
def open_tracker(config: RunConfig, dataset: Dataset) -> Iterator[Tracker]:
    """The run's tracker, which training never waits for; an error ends its run as FAILED."""
    if config.tracking == "none":
        yield Untracked()
        return
    with TemporaryDirectory() as folder:
        public = Path(folder) / "config.yaml"
        write_config(config.public_mapping(), public)
        store = mlflow_store.open_tracker(
            runs=config.runs,
            experiment=f"usbench/{config.dataset.name}-{config.task}",
            name=f"{config.model.name}-s{config.seed}-{config.run_id}",
            run_id=config.run_id,
            params=tracked_params(config),
            tags=tracked_tags(config),
            config=public,
            inputs=tracked_inputs(config, dataset),
        )
    tracker = BackgroundTracker(store, config.run_dir)
    try:
        yield tracker
    except BaseException:
        tracker.finish("FAILED", None)
        raise


def tracked_tags(config: RunConfig) -> dict[str, str]:
    """What kind of run it is, and the sweep's run above it."""
    parent = {"mlflow.parentRunId": config.parent} if config.parent else {}
    return {"usbench.phantom": str(config.phantom).lower(), **parent}


def tracked_inputs(config: RunConfig, dataset: Dataset) -> list[SplitInput]:
    """The dataset's splits."""
    facts = {"phantom": str(config.phantom).lower(), "licence": config.dataset.licence or "unknown"}
    inputs = []
    for split, context in CONTEXTS.items():
        records = dataset.records[split]
        counts = {"images": len(records), "groups": len({record.group for record in records})}
        inputs.append(
            SplitInput(f"{dataset.name}/{split}", config.fingerprint, context, counts, facts)
        )
    return inputs


def tracked_params(config: RunConfig) -> dict[str, object]:
    """The configuration's key figures."""
    names = ("task", "recipe", "seed", "fold", "precision", "device", "threads")
    params: dict[str, object] = {name: getattr(config, name) for name in names}
    params |= {"dataset": config.dataset.name, "model": config.model.name}
    recipe = config.model.recipe.items()
    return params | {
        f"recipe.{name}": value for name, value in recipe if not isinstance(value, dict)
    }
