"""Values of Python's as overrides, KEY=VALUE, in Hydra's grammar."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import PurePath

from usbench.errors import ConfigError


def to_override(key: str, value: object) -> str:
    """KEY=VALUE with a value of Python's, as Hydra's grammar writes it.

    Raises:
        ConfigError: the value is no number, text, path, list or mapping of these.
    """
    try:
        return f"{key}={format_value(value)}"
    except TypeError as error:
        raise ConfigError(f"{key}: {error}") from error


def format_value(value: object) -> str:
    """A value of Python's as the value of an override. Raises TypeError for an unknown type."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, (str, PurePath)):
        return quote(str(value))
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{format_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, Sequence):
        return f"[{','.join(map(format_value, value))}]"
    raise TypeError(
        "expected None, true or false, a number, text, a path, a list or a mapping, "
        f"got {type(value).__name__}"
    )


def quote(text: str) -> str:
    """Any text as the value of an override.

    In quotes, Hydra reads a backslash as itself unless a quote follows, so that only the
    backslashes before a quote, and those at the end, are doubled.
    """
    before_quote = re.sub(r"(\\*)'", r"\1\1\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", before_quote) + "'"
