"""What several tests share: composing a configuration in this process."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
from hypothesis import settings
from omegaconf import OmegaConf

from usbench.command import conf_dir

settings.register_profile("usbench", deadline=None)  # a busy machine is no failure
settings.load_profile("usbench")

Compose = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def compose() -> Compose:
    """`compose(*overrides)`: the configuration that `python -m usbench *overrides` would get, as plain data."""

    lab = os.environ.get("USBENCH_CONF")  # a lab's own configuration, for the conformance suite
    path = [f"hydra.searchpath=[file://{Path(lab).resolve()}]"] if lab else []

    @functools.cache  # Hydra takes a tenth of a second
    def composed(*overrides: str) -> Any:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return OmegaConf.to_container(hydra.compose("config", [*overrides, *path]), resolve=True)

    return lambda *overrides: copy.deepcopy(composed(*overrides))
