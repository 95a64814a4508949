"""The meanings of keys, where they are defined: the comments behind them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

# A key of a YAML, or a field of a dataclass, with the comment behind it.
LINE = re.compile(r"^(?P<indent> *)(?:- )?(?P<key>\w+):(?:\s.*?)?(?:\s+#\s+(?P<comment>.*))?$")


def read_comments(text: str) -> dict[str, str]:
    """The comment behind each key, by the key's path (a.b); keys without one are left out.

    Args:
        text: a YAML in block style. A mapping in one line has one comment.
    """
    comments: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = LINE.match(line)
        if not match:
            continue
        indent = len(match["indent"])
        while parents and parents[-1][0] >= indent:
            parents.pop()
        parents.append((indent, match["key"]))
        if match["comment"]:
            comments[".".join(key for _, key in parents)] = match["comment"].strip()
    return comments


def read_field_comments(cls: type) -> dict[str, str]:
    """The comment behind each field of a dataclass, by its name."""
    fields = "\n".join(
        line.removeprefix("    ")
        for line in inspect.getsource(cls).splitlines()
        if re.match(r" {4}\w+: ", line)
    )
    return read_comments(fields)


def read_file_comments(folders: Sequence[Path], group: str, name: str) -> dict[str, str]:
    """The comments of a YAML of a configuration group, and of those that its defaults name.

    Args:
        folders: of configuration; the first that has the file counts.
    """
    files = (folder / group / f"{name}.yaml" for folder in folders)
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return {}
    text = path.read_text("utf-8")
    defaults = (yaml.safe_load(text) or {}).get("defaults") or []
    comments: dict[str, str] = {}
    for base in defaults:
        if isinstance(base, str) and base not in ("_self_", name):
            comments |= read_file_comments(folders, group, base)
    return {**comments, **read_comments(text)}
