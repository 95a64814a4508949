"""What several tests share: composing a configuration in this process, and the test lanes."""

from __future__ import annotations

import copy
import functools
import os
import re
import sys
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

# A busy machine is no failure; 50 examples instead of 100 keep the fast lane fast.
settings.register_profile("usbench", deadline=None, max_examples=50)
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


# ---- lanes: a folder of that name below tests/ marks its tests

LANES = ("process", "train", "simulate", "real", "smoke", "slow", "gpu", "slurm", "ray")
ALLOWED_PROCESSES = ("git",)  # a result names its commit


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the lanes that its path names, and put the README's first.

    They are among the longest: at the end, one core would work on them alone.
    """
    items.sort(key=lambda item: item.path.name != "test_readme.py")
    for item in items:
        for lane in set(LANES) & set(item.path.parts):
            item.add_marker(lane)


class FastLaneError(AssertionError):
    """A test of the fast lane started a process or trained."""


class FastLaneGuard:
    """Fails a test of the fast lane that starts a process or computes gradients."""

    def __init__(self) -> None:
        self.is_on = False
        sys.addaudithook(self.refuse_process)

    def refuse_process(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Audit hook: see https://docs.python.org/3/library/audit_events.html."""
        if not self.is_on or event not in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
            return
        program = Path(str(arguments[0])).name if arguments else ""
        if program not in ALLOWED_PROCESSES:
            raise FastLaneError(
                f"a test of the fast lane starts {program or event}: mark it process"
            )

    def refuse_training(self) -> None:
        """Replace torch's backward, once torch is there, by one that asks this guard."""
        autograd = getattr(sys.modules.get("torch"), "autograd", None)
        if autograd is None or hasattr(autograd.backward, "guarded"):
            return
        backward = autograd.backward

        @functools.wraps(backward)
        def guarded(*arguments: Any, **options: Any) -> Any:
            if self.is_on:
                raise FastLaneError("a test of the fast lane calls backward: mark it train")
            return backward(*arguments, **options)

        guarded.guarded = True  # type: ignore[attr-defined]
        autograd.backward = guarded


GUARD = FastLaneGuard()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch the tests that no lane marks, their fixtures too."""
    GUARD.refuse_training()
    GUARD.is_on = not any(item.get_closest_marker(lane) for lane in LANES)
    yield
    GUARD.is_on = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, a file's tests share a worker, as they share what they make.

    In the long suites over all models the tests of one model do. (xdist's own groups do nothing
    under pytest 9.2.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            if Path(file).name not in ("test_models.py", "test_sealed.py"):
                return file
            model = re.split(r"[\]-]", test.partition("[")[2])[0]
            return file + model  # test_any[unet-odd sizes] goes by unet

    return ByFile(config, log)
