"""YAML that people write: plain values, each key once, nothing that takes a parser long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from usbench.errors import ConfigError, UsbenchError, in_one_line

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML was built without its C library
    from yaml import SafeLoader  # type: ignore[assignment]

DEEPEST = 50  # levels of nesting
MOST_ALIASED = 5_000  # values that aliases repeat
PLAIN_TAGS = "tag:yaml.org,2002:"
PYTHON_TAGS = f"{PLAIN_TAGS}python/"
MERGE = f"{PLAIN_TAGS}merge"  # the tag of <<, which a mapping may have several times


class StrictLoader(SafeLoader):
    """YAML's safe types; a key that a mapping has twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping whose keys are all different."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key} is there twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, error: type[UsbenchError] = ConfigError) -> Any:
    """Read a YAML file of plain values; None for an empty one.

    Args:
        path: the file.
        error: what is raised.

    Raises:
        UsbenchError: of that type, where the file can't be read or isn't such YAML; the message
            names file, line and column.
    """
    try:
        text = path.read_text("utf-8")
        check_size(text)
        return yaml.load(text, StrictLoader)
    except OSError as fault:
        raise error(f"{path}: can't be read ({fault.strerror})") from fault
    except UnicodeDecodeError as fault:
        raise error(f"{path}: expected UTF-8 text, got other bytes; save it as UTF-8") from fault
    except (yaml.YAMLError, ValueError, TypeError) as fault:
        raise error(f"{path}: {describe_fault(fault)}") from fault


def check_size(text: str) -> None:
    """Raise yaml.MarkedYAMLError for tags, deep nesting, and aliases that multiply.

    It looks at the parser's events only, so that it takes no longer than the text is.
    """
    sizes: dict[str, int] = {}  # values below each anchor
    stack = [_Collection(None)]  # the collections that are open, the document outermost
    for event in yaml.parse(text, SafeLoader):
        parent = stack[-1]
        tag = getattr(event, "tag", None)
        if tag and (not tag.startswith(PLAIN_TAGS) or tag.startswith(PYTHON_TAGS)):
            name = tag.replace(PLAIN_TAGS, "!!")
            raise _fault(f"expected plain values, got the tag {name}; remove it", event)
        if isinstance(event, yaml.AliasEvent):
            if any(collection.anchor == event.anchor for collection in stack):
                raise _fault(f"*{event.anchor} lies within &{event.anchor}; remove it", event)
            repeated = sizes.get(event.anchor or "", 1)
            parent.add(repeated, repeated)
        elif isinstance(event, yaml.ScalarEvent):
            parent.add(1, 0)
        elif isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Collection(event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = stack.pop()
            stack[-1].add(ended.values, ended.aliased)
            if ended.anchor:
                sizes[ended.anchor] = ended.values
        if len(stack) > DEEPEST:
            raise _fault(f"expected at most {DEEPEST} levels of nesting, got more", event)
        if stack[-1].aliased > MOST_ALIASED:
            raise _fault(f"expected at most {MOST_ALIASED:,} values by aliases, got more", event)


@dataclass
class _Collection:
    """A list or mapping, as far as it is read."""

    anchor: str | None
    values: int = 0
    aliased: int = 0  # those that aliases repeat

    def add(self, values: int, aliased: int) -> None:
        self.values += values
        self.aliased += aliased


def describe_fault(fault: Exception) -> str:
    """A parser's error as one line that begins with line and column."""
    mark = getattr(fault, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = in_one_line(getattr(fault, "problem", None) or fault)
    if re.search(r"'\\t'|\btab\b", problem):
        problem += "; indent with blanks instead of a tab"
    return place + (problem if problem.startswith("expected") else f"expected YAML: {problem}")


def _fault(problem: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    mark: Any = event.start_mark
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
