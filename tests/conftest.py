"""What several tests share: composing a configuration in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

from usbench.__main__ import conf_dir

Compose = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def compose() -> Compose:
    """`compose(*overrides)`: the configuration that `python -m usbench *overrides` would get, as plain data."""

    def composed(*overrides: str) -> dict[str, Any]:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config: Any = OmegaConf.to_container(hydra.compose("config", list(overrides)), resolve=True)
        return config

    return composed
