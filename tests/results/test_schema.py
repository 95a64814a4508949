"""Every change that breaks a result is refused, with a message that names where."""

import copy
import math

import numpy as np
import pytest

from tests.results.test_store import figure, result_json
from usbench.results import schema

ODD = [
    None,
    True,
    -1,
    0,
    1.0,
    2.5,
    "",
    "x",
    "../x",
    "x\n",
    [],
    [1],
    {},
    {"a": 1},
    math.nan,
    math.inf,
    10**30,
]


def places(value, path=()):
    """Every path to a value inside a result."""
    yield path
    for key in (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield from places(value[key], (*path, key))


def changed(whole, path, value=None, gone=False):
    made = copy.deepcopy(whole)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    if gone:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return made


def finite(value):
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(map(finite, parts)) and not (isinstance(value, float) and not math.isfinite(value))


RECORDS = [
    result_json(
        data={**result_json()["data"], "leakage": {"n": 1, "description": "w", "images": ["a"]}},
        fold_series="a" * 12,
    ),
    result_json(
        status="failed",
        reason="x",
        protocol=None,
        primary=None,
        scores={"hd": figure(None, "no case")},
        per_class={},
    ),
]


def key_of(path):
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


@pytest.mark.parametrize("whole", RECORDS, ids=["done", "failed"])
def test_a_fault_names_the_changed_key_or_one_around_it(whole):
    assert schema.fault(whole) is None
    refused = 0
    for path in places(whole):
        if not path or path[0] in ("config", "machine", "code"):
            continue
        changes = [changed(whole, path, value) for value in ODD] + [changed(whole, path, gone=True)]
        for broken in changes:
            fault = schema.fault(broken)
            if fault is None:
                assert finite(broken)
                continue
            refused += 1
            key = fault.removeprefix("key ").split(": ")[0]
            around = ["(top level)", *(key_of(path[: n + 1]) for n in range(len(path)))]
            repeats = key.startswith("primary") and path[0] in ("scores", "status")
            inside = key.startswith(key_of(path))  # an odd value that is itself wrong within
            assert key in around or repeats or inside, (path, fault)
            assert "\n" not in fault and len(fault) < 400
    assert refused > 300


@pytest.mark.parametrize("value", [np.float32(1), {1}, object(), (1, 2), b"x"])
def test_what_json_does_not_have_is_described(value):
    assert "scores.dice.value" in str(
        schema.fault(changed(RECORDS[0], ("scores", "dice", "value"), value))
    )


def test_a_result_of_an_older_schema_is_named_as_such():
    old = {"schema": 1, "dataset": "usgra", "key": "0123456789ab"}  # lacks what schema 2 requires
    assert schema.fault(old) == "key schema: expected 2, got 1"
