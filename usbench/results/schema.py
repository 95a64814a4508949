"""Whether a result keeps result.schema.json and the rules that a schema can't state."""

from __future__ import annotations

from usbench.io.files import JsonObject
from usbench.io.json_schema import describe_fault, find_fault, load_schema


def schema() -> JsonObject:
    """The schema itself."""
    return load_schema("usbench.results", "result.schema.json").content


def fault(content: object) -> str | None:
    """What is wrong with a result's JSON as one line that names the key; None where it is valid.

    Beyond the schema: no number is NaN or infinite, and `primary` repeats the figure of that name
    in `scores`.
    """
    wrong = find_fault(load_schema("usbench.results", "result.schema.json"), content)
    version = content.get("schema") if isinstance(content, dict) else None
    expected = schema()["properties"]["schema"]["const"]
    if wrong is not None and version not in (None, expected):  # every other fault follows from it
        return describe_fault("schema", f"expected {expected}, got {version}")
    if wrong is not None:
        return wrong
    assert isinstance(content, dict)
    if content["status"] != "done":
        return None
    name, value = content["primary"]["name"], content["primary"]["value"]
    scores = content["scores"]
    if name not in scores:
        return describe_fault("primary.name", f"expected one of {', '.join(scores)}, got {name}")
    if value != scores[name]["value"]:
        expected = f"expected scores.{name}.value = {scores[name]['value']}, got {value}"
        return describe_fault("primary.value", expected)
    return None
