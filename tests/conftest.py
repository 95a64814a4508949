"""What several tests share: composing a configuration in this process."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import hydra
import pytest
from hypothesis import settings
from omegaconf import OmegaConf

from usbench.__main__ import conf_dir

settings.register_profile("usbench", deadline=None)  # a busy machine is no failure
settings.load_profile("usbench")

Compose = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def compose() -> Compose:
    """`compose(*overrides)`: the configuration that `python -m usbench *overrides` would get, as plain data."""

    @functools.cache  # Hydra takes a tenth of a second
    def composed(*overrides: str) -> Any:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return OmegaConf.to_container(hydra.compose("config", list(overrides)), resolve=True)

    return lambda *overrides: copy.deepcopy(composed(*overrides))
