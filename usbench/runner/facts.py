"""A run's configuration → the facts of its result; results of runs that are done or failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from usbench import __version__
from usbench.datasets.dataset import Dataset
from usbench.io.files import file_sha256
from usbench.metrics.scores import Scores
from usbench.results.build import (
    ReportedScores,
    build_result,
    describe_protocol,
    report_scores,
)
from usbench.results.predictions import prediction_files
from usbench.results.result import Data, Leakage, Origin, PredictionsFile, Result, Validation
from usbench.results.strata import strata_of
from usbench.runner import machine
from usbench.runner.config import RunConfig, Transfer
from usbench.runner.resolve import SELECTION

GPU_FIELDS = ("tf32", "machine.gpu", "machine.cuda", "machine.cudnn", "machine.driver")


def new_result(device: str) -> partial[Result]:
    """A result without scores that the code and machine make now; it lacks what it is of.

    Args:
        device: cpu or cuda:N.
    """
    return partial(
        Result,
        status="failed",  # until it has scores
        code=machine.code_state(__version__),
        machine=machine.describe(device),
        date=datetime.now(UTC).date().isoformat(),
        tf32=machine.tf32(device),
        reasons=dict.fromkeys(GPU_FIELDS, "ran on a CPU") if device == "cpu" else {},
    )


def result_facts(
    config: RunConfig, counts: Mapping[str, int] | None = None, origin: Origin = "run"
) -> Result:
    """A run's result without scores, by its configuration. counts: images by split."""
    leakage, transfer = config.dataset.leakage, config.transfer
    leaking = Leakage(len(leakage.images), leakage.description, leakage.images) if leakage else None
    return new_result(config.device)(
        dataset=config.dataset.name,
        task=config.task,
        fold=config.fold,
        trained_on=transfer.trained_on if transfer else None,
        origin=origin,
        model=config.model.name,
        recipe=config.recipe,
        seed=config.seed,
        run_id=config.run_id,
        series=config.series,
        fold_series=config.fold_series,
        tuned=config.tuned,
        data=Data(
            config.fingerprint,
            counts or {},
            config.phantom,
            leaking,
            config.dataset.split.description,
        ),
        config=config.public_mapping(),
        device=config.device.split(":")[0],
        precision=config.precision,
        threads=config.threads,
    )


def facts_without_run(
    config: RunConfig, counts: Mapping[str, int], origin: Origin, model: str, run_id: str
) -> Result:
    """A result without scores that no run of ours made: a baseline, or external predictions.

    Args:
        config: any run's on the dataset and task.
        counts: images by split.
        model: the name of the row.
    """
    facts = result_facts(config, counts, origin)
    return replace(
        facts,
        model=model,
        run_id=run_id,
        config={name: facts.config[name] for name in ("dataset", "metric")},
        recipe=None,
        seed=None,
        series=None,
        fold_series=None,
        tuned=None,
        device=None,
        precision=None,
        threads=None,
    )


def done_result(
    config: RunConfig,
    dataset: Dataset,
    scores: Scores,
    selection_score: float | None,
    seconds: Mapping[str, float],
    parameters: int | None,
) -> Result:
    """The result of a finished run.

    Args:
        dataset: opened.
        scores: on the test split.
        selection_score: the selection metric on validation.
        seconds: by stage.
        parameters: of the network; None: unknown.
    """
    counts = image_counts(dataset)
    counts = {"test": counts["test"]} if config.transfer else counts
    file, _ = prediction_files(config.run_dir, "test")
    facts = result_facts(config, counts)
    facts = replace(facts, data=replace(facts.data, notes=notes_on_data(config, dataset)))
    return replace(
        build_result(facts, reported_scores(config, scores, dataset)),
        validation=Validation(SELECTION[config.task][0], selection_score),
        predictions=PredictionsFile(
            file.relative_to(config.runs).as_posix(), file_sha256(file), counts["test"]
        ),
        seconds=seconds,
        parameters=parameters,
    )


def notes_on_data(config: RunConfig, dataset: Dataset) -> tuple[str, ...]:
    """What the layout says of this copy, and which images the training data have in common."""
    notes = [] if config.phantom else list(dataset.layout.notes(dataset.root))
    trained_on = config.transfer.trained_on if config.transfer else None
    if trained_on is not None and trained_on in config.dataset.overlaps:
        notes.append(f"shares images with {trained_on}: {config.dataset.overlaps[trained_on]}")
    return tuple(notes)


def image_counts(dataset: Dataset) -> dict[str, int]:
    """Images by split."""
    return {split: len(records) for split, records in dataset.records.items()}


def reported_scores(config: RunConfig, scores: Scores, dataset: Dataset) -> ReportedScores:
    """Scores on the test split as the run's result holds them."""
    primary = str(config.metric["primary"])
    description = run_protocol_description(config, scores.protocol.description)
    strata = strata_of(
        scores,
        primary,
        config.task,
        dataset.classes,
        config.metric,
        config.dataset.strata,
        dataset.records["test"],
    )
    return replace(report_scores(scores, primary, description), strata=strata)


def run_protocol_description(config: RunConfig, description: str) -> str:
    """The reporting protocol for people, with what the run's data and training mean for it."""
    notes: list[str | None] = transfer_notes(config.transfer) if config.transfer else []
    unknown_groups = config.dataset.unknown_groups
    if unknown_groups and not config.phantom:
        notes.append(f"intervals are too narrow: {unknown_groups}")
    return describe_protocol(description, config.task, config.view, notes)


def transfer_notes(transfer: Transfer) -> list[str | None]:
    """What a reader must know of an evaluation on another dataset."""
    pairs = transfer.class_map.items()
    renamed = [f"{theirs} as {ours}" for theirs, ours in pairs if theirs != ours]
    notes: list[str | None] = [", ".join([f"trained on {transfer.trained_on} alone", *renamed])]
    if transfer.left_out:
        notes.append(f"left out, unknown to the model: {', '.join(transfer.left_out)}")
    return notes
