"""`_target_` nodes of a configuration → objects, by Hydra's instantiate, with our own errors let through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from usbench.errors import ConfigError, UsbenchError


def build(node: Mapping[str, Any], **arguments: Any) -> Any:
    """Instantiate a node with further arguments. ConfigError where its target or an argument of it doesn't exist."""
    try:
        return instantiate({**node, "_convert_": "all"}, **arguments)
    except InstantiationException as wrong:
        if isinstance(wrong.__cause__, UsbenchError):
            raise wrong.__cause__ from wrong
        if wrong.__cause__ is not None and not isinstance(
            wrong.__cause__, (ImportError, TypeError, AttributeError)
        ):
            raise
        first = " ".join(str(wrong).split())
        raise ConfigError(f"{node.get('_target_')}: {first[:300]}") from wrong
