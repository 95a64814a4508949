"""The settings of a result's run as tables of texts: recipe, model, data, code and machine."""

from __future__ import annotations

import json
from collections.abc import Mapping

from usbench.leaderboard.settings import flatten, node_at, read_settings
from usbench.results.format import format_value
from usbench.results.result import Result


def setting_tables(result: Result) -> dict[str, list[tuple[str, str]]]:
    """Recipe, model, run, data, code and machine: title → (name, text) of what is known."""
    settings = read_settings(result)
    code, machine = result.code, result.machine
    run: dict[str, object] = {
        "seed": result.seed,
        "fold": result.fold,
        "trained_on": result.trained_on,
        "device": result.device,
        "precision": result.precision,
        "threads": result.threads,
        "parameters": f"{result.parameters:,}" if result.parameters else None,
    }
    run |= {f"seconds, {stage}": value for stage, value in (result.seconds or {}).items()}
    chosen = result.validation
    if chosen is not None and chosen.value is not None:
        run[f"{chosen.name} on validation"] = format_value(chosen.value, chosen.name)
    data: dict[str, object] = {f"{name} images": n for name, n in result.data.counts.items()}
    data |= {
        "split": result.data.splits,
        "licence": settings.dataset.get("licence"),
        "fingerprint": result.data.fingerprint,
    }
    return {
        f"Recipe: {result.recipe}": text_facts(dict(flatten(node_at(settings.model, "recipe")))),
        "Model": text_facts(dict(flatten(node_at(settings.model, "build")))),
        "Run": text_facts(run),
        "Data": text_facts(data),
        "Code": text_facts(
            {
                "version": code.version,
                "commit": code.commit,
                "uncommitted changes": "yes" if code.dirty else "no",
            }
        ),
        "Machine and packages": text_facts(
            {"processor": machine.processor, "GPU": machine.gpu, **machine.packages}
        ),
    }


def text_facts(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """(name, text) of the values that are known."""
    return [
        (name, plain_text(value))
        for name, value in values.items()
        if value not in (None, "", [], {})
    ]


def plain_text(value: object) -> str:
    """A value of a configuration as text: a flat list without brackets, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and not any(map(is_nested, value)):
        return ", ".join(map(plain_text, value))
    return json.dumps(value, ensure_ascii=False)


def is_nested(value: object) -> bool:
    """Whether a value holds others."""
    return isinstance(value, (list, tuple, Mapping))
