"""Score finished runs again from their stored predictions: a corrected metric, or another one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from usbench import __version__
from usbench.errors import UsbenchError
from usbench.evaluate.stored_run import open_stored_run, with_current_declarations
from usbench.io.console import track
from usbench.metrics import detect_scorer
from usbench.metrics.box_protocols import BOX_PROTOCOLS, COCO
from usbench.metrics.mask_protocols import MASK_PROTOCOLS
from usbench.metrics.scores import Figure, Figures, ProtocolScores, Scores
from usbench.results import scoring, store
from usbench.results.build import build_result, report_scores
from usbench.results.case_scores import scorable_protocols, score_case_table
from usbench.results.result import Result
from usbench.runner import machine
from usbench.runner.config import RunConfig
from usbench.runner.facts import reported_scores, run_protocol_description

Cases = Sequence[store.Case]
ROUNDING = 1e-8  # of a case table's numbers, relative


# ---- one result


def rescore(result: Result, path: Path, runs: Path) -> tuple[Result, Cases]:
    """The result with the scores that the code computes now, and its cases as a result has them.

    Args:
        result: a finished one.
        path: its file.
        runs: the folder of runs.

    Raises:
        RunError, DataError: as `open_stored_run`.
    """
    run = open_stored_run(result, path, runs)
    config, scores = run.config, run.score()
    if run.kept is not None:
        scores = with_earlier_calibration(scores, result.protocol)
    cases = store.hash_case_ids(scores.cases, config.dataset.redistribute, config.dataset.name)
    facts = result
    if measures := config.metric.get("measures"):
        metric = {**result.config["metric"], "measures": measures}
        facts = replace(result, config={**result.config, "metric": metric})
    return build_result(facts, reported_scores(config, scores, run.dataset)), cases


def with_earlier_calibration(scores: Scores, earlier: ProtocolScores) -> Scores:
    """The scores with the calibration error of masks whose probabilities are gone."""
    protocol = scores.protocol
    is_lost = "ece" in earlier.scores and "ece" not in protocol.scores
    if not is_lost or protocol.name != earlier.name:
        return scores
    per_class = {
        label: {**figures, "ece": earlier.per_class[label]["ece"]}
        for label, figures in protocol.per_class.items()
    }
    protocol = replace(
        protocol,
        description=f"{protocol.description}; {scoring.CALIBRATION}",
        scores={**protocol.scores, "ece": earlier.scores["ece"]},
        per_class=per_class,
    )
    return replace(scores, protocols=(protocol, *scores.protocols[1:]))


def rescore_from_cases(result: Result, path: Path) -> tuple[Result, Cases] | None:
    """What `rescore` gives, from the case table alone, where the stored predictions are gone.

    That suffices for masks under protocols at native size and for COCO's average precision.
    Scores that need more (other protocols, sizes, calibration, a user's own) stay as they are.

    Args:
        path: the result's file.

    Returns:
        None where the table doesn't suffice.
    """
    if result.cases is None or not (result.origin == "baseline" or "task" in result.config):
        return None
    rows = store.read_cases(path, result)
    scores = scores_from_cases(result, rows)
    if scores is None or not keeps_version(result, scores.protocol):
        return None
    if result.data.leakage:
        leaking = store.ids_in_table(result.data.leakage.images, result)
        clean = scores_from_cases(result, [row for row in rows if row["case"] not in leaking])
        assert clean is not None  # the result decides, not the rows
        scores = scoring.add_leak_free(scores, clean.protocol.scores)
    assert result.primary is not None  # it has a case table
    description = describe_again(result, scores.protocol)
    new = report_scores(scores, result.primary.name, description)
    old = map(with_current_description, result.protocols[1:])
    others = {
        protocol.name: protocol.with_figures(lambda figures: merge_figures(figures, {}))
        for protocol in old
    }
    for protocol in new.protocols[1:]:
        others[protocol.name] = merge_protocols(others[protocol.name], protocol)
    cases = [{name: value or None for name, value in row.items()} for row in rows]
    first = merge_protocols(result.protocol, new.protocols[0])
    strata = result.strata if first.version == result.protocol.version else ()
    reported = replace(new, protocols=(first, *others.values()), strata=strata)
    return build_result(result, reported), cases


def keeps_version(result: Result, new: ProtocolScores) -> bool:
    """Whether scores may stand under their version: a newer one, or the result's own figures.

    Matches of an older version give its figures as long as nothing else changed since; then only
    the intervals are new.
    """
    if new.version > result.protocol.version or new.name != COCO:
        return True
    return all(
        is_same(result.scores[name].value, figure.value) for name, figure in new.scores.items()
    )


def describe_again(result: Result, new: ProtocolScores) -> str:
    """The description of a result that is scored from its case table.

    Under the same version it stays: it also tells of figures that the table doesn't hold.
    """
    if new.version == result.protocol.version:
        return result.protocol.description
    if result.origin == "baseline":  # no run made it
        return new.description
    # The folders are unknown here, and so are the weights of older results.
    content = {"weights": None, **result.config}
    config = RunConfig.from_mapping(
        content, root="", runs="", results="", tracking="none", debug=False
    )
    return run_protocol_description(with_current_declarations(config), new.description)


def scores_from_cases(result: Result, rows: Sequence[Mapping[str, str]]) -> Scores | None:
    """Scores of a case table under the result's protocols; None where it doesn't suffice."""
    classes = result.config["dataset"]["views"][result.task]["classes"]
    name, version = result.protocol.name, result.protocol.version
    if result.task == "segment":
        rules = scorable_protocols(result.task)
        names = [scores.name for scores in result.protocols if scores.name in rules]
        metric = result.config.get("metric") or {}
        return score_case_table(rows, "segment", classes, names, metric) if name in names else None
    if name != COCO:
        return None
    scores = detect_scorer.from_cases(rows, classes)
    if version >= BOX_PROTOCOLS[name].matched_since:
        return scores
    # The table holds that version's matches.
    return replace(scores, protocols=(replace(scores.protocol, version=version),))


def merge_protocols(old: ProtocolScores, new: ProtocolScores) -> ProtocolScores:
    """The new scores, and the old ones that the new ones lack."""
    return replace(
        new,
        scores=merge_figures(old.scores, new.scores),
        per_class={
            label: merge_figures(old.per_class[label], part)
            for label, part in new.per_class.items()
        },
        target_score=merge_figures(old.target_score, new.target_score),
    )


def merge_figures(old: Figures, new: Figures) -> Figures:
    """The new figures, and the old ones that the new ones lack, without percentile intervals.

    A number that didn't change keeps its digits, which a case table rounds.
    """
    merged = {**{name: drop_old_interval(figure) for name, figure in old.items()}, **new}
    for name in old.keys() & new.keys():
        numbers = {}
        for field_name in ("value", "low", "high", "se", "df"):
            before, now = getattr(old[name], field_name), getattr(new[name], field_name)
            size = abs(new[name].value or 0)
            numbers[field_name] = before if is_same(before, now, size) else now
        merged[name] = replace(new[name], **numbers)
    return merged


def is_same(before: float | None, now: float | None, size: float = 0.0) -> bool:
    """Whether two numbers are equal but for the rounding of a case table.

    Args:
        before: None where it is undefined.
        now: likewise.
        size: of the cases' values, which are rounded.
    """
    if before is None or now is None:
        return before is now
    return math.isclose(before, now, rel_tol=ROUNDING, abs_tol=ROUNDING * size)


def drop_old_interval(figure: Figure) -> Figure:
    """The figure without an interval by percentiles, as older versions computed it: too narrow."""
    if figure.method != "percentile":
        return figure
    reason = "no interval: an older version computed it, and the case table doesn't suffice"
    return replace(figure, low=None, high=None, method=None, interval=reason)


def with_current_description(scores: ProtocolScores) -> ProtocolScores:
    """The scores with what the code says today of their protocol, where its version is the same."""
    rule = {**MASK_PROTOCOLS, **BOX_PROTOCOLS}.get(scores.name)
    if rule is None or rule.version != scores.version:
        return scores
    return replace(scores, description=rule.description)


# ---- a folder of results


@dataclass
class RescoreReport:
    """What rescoring a folder of results did."""

    changed: list[Path] = field(default_factory=list)
    unchanged: list[Path] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)  # why they couldn't be scored


def rescore_all(folder: Path, runs: Path, phantom: bool) -> RescoreReport:
    """Rescore every finished run of ours, baselines and others' predictions; nothing is trained.

    A result is rewritten only where something of it changes. Where its predictions or data are
    gone, it is scored from its case table as far as that suffices. Where that changes nothing, it
    is reported as skipped, and the leaderboard shows it apart from results of a newer version of
    its protocol.
    """
    report = RescoreReport()
    results = []
    for result in store.load_results(folder, phantom):
        if result.is_done and result.origin in ("run", "external", "baseline"):
            results.append(result)
    for result in track(results, "rescoring", len(results)):
        path = store.result_path(folder, result)
        obstacle = None
        try:
            new, cases = rescore(result, path, runs)
        except UsbenchError as error:
            obstacle = str(error)
            new, cases = rescore_from_cases(result, path) or (result, ())
        table = hashlib.sha256(store.encode_cases(cases)).hexdigest() if cases else None
        if new.to_json() == result.to_json() and (obstacle or table == result.cases_sha256):
            if obstacle:
                report.skipped[path] = obstacle
            else:
                report.unchanged.append(path)
            continue
        new = replace(new, scored_by=machine.code_state(__version__))
        store.save_result(folder, new, cases)
        report.changed.append(path)
    return report
