"""The compiled validator says yes and no just as the one that has the words; every broken record has some."""

import copy
import math

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from test_results import figure, record

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
    """Every path to a value inside a record."""
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
    record(
        data={**record()["data"], "leakage": {"n": 1, "description": "w", "images": ["a"]}},
        fold_series="a" * 12,
    ),
    record(
        status="failed",
        reason="x",
        protocol=None,
        primary=None,
        scores={"hd": figure(None, "no case")},
        per_class={},
    ),
]


@pytest.mark.parametrize("whole", RECORDS, ids=["done", "failed"])
def test_both_validators_agree_on_every_change(whole):
    slow = Draft202012Validator(schema.schema())
    assert schema.fault(whole) is None
    paths = [
        path for path in places(whole) if path and path[0] not in ("config", "machine", "code")
    ]
    broken = [changed(whole, path, value) for path in paths for value in ODD]
    broken += [changed(whole, path, gone=True) for path in paths]
    let_through = [
        each
        for each in broken
        if schema._is_sound(each) and not (slow.is_valid(each) and finite(each))
    ]
    assert len(broken) > 500 and not let_through
    refused = [
        each for each in broken if slow.is_valid(each) and finite(each) and schema._broken(each)
    ]
    assert not refused  # a no of the compiled one is looked at again


@pytest.mark.parametrize("value", [np.float32(1), {1}, object(), (1, 2), b"x"])
def test_what_json_does_not_have_is_told_in_words(value):
    assert "scores.dice.value" in str(
        schema.fault(changed(RECORDS[0], ("scores", "dice", "value"), value))
    )
