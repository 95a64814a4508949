"""What several tests share: composing a configuration in this process."""

from __future__ import annotations

import copy
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from hypothesis import settings
from omegaconf import OmegaConf

from usbench.io.config import conf_dir

os.environ.setdefault(
    "GOMP_SPINCOUNT", "0"
)  # tests share their cores: a thread that waits sleeps, in children too

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
            return OmegaConf.to_container(
                hydra.compose("config", [*overrides, *path]), resolve=True
            )

    return lambda *overrides: copy.deepcopy(composed(*overrides))


def single() -> Iterator[None]:
    """Nets this small gain nothing from a second thread, and waiting ones slow a shared machine down."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


one_thread = pytest.fixture(single, name="one_thread")
one_thread_throughout = pytest.fixture(
    single, scope="module", name="one_thread_throughout"
)  # in a file's fixtures too


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, a file's tests share a worker, as they share what they make; of the long suites over all models, each
    model's do. (xdist's own groups do nothing under pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            if Path(file).name not in ("test_models.py", "test_sealed.py"):
                return file
            return (
                file + re.split(r"[\]-]", test.partition("[")[2])[0]
            )  # test_any[unet-odd sizes] goes by unet

    return ByFile(config, log)
