"""Whether a result keeps result.schema.json and the rules that a schema can't state."""

from __future__ import annotations

from typing import Any

from usbench.io.json_schema import describe_fault, find_fault, load_schema


def schema() -> dict[str, Any]:
    """The schema itself."""
    return load_schema("usbench.results", "result.schema.json").content


def fault(record: object) -> str | None:
    """What is wrong with a result's JSON as one line that names the key; None where it is valid.

    Beyond the schema: no number is NaN or infinite, and `primary` repeats the figure of that name
    in `scores`.
    """
    wrong = find_fault(load_schema("usbench.results", "result.schema.json"), record)
    if wrong is not None:
        version = record.get("schema") if isinstance(record, dict) else None
        expected = schema()["properties"]["schema"]["const"]
        if version is not None and version != expected:  # every other fault follows from this one
            return describe_fault("schema", f"expected {expected}, got {version}")
        return wrong
    assert isinstance(record, dict)
    if record["status"] != "done":
        return None
    primary, scores = record["primary"], record["scores"]
    name = primary["name"]
    if name not in scores:
        return describe_fault("primary.name", f"expected one of {', '.join(scores)}, got {name}")
    value = scores[name]["value"]
    if primary["value"] != value:
        expected = f"expected scores.{name}.value = {value}, got {primary['value']}"
        return describe_fault("primary.value", expected)
    return None
