"""What a run that failed leaves behind: a failed result, or, where it was never begun, none."""

from __future__ import annotations

import pytest

from usbench.errors import ConfigError, RunError, UnsuitableError
from usbench.runner.child import record_failure
from usbench.runner.config import ModelConfig
from usbench.runner.experiment import restore_weights
from usbench.runner.resolve import resolve_config
from usbench.runner.status import run_status
from usbench.types import Run

# (error, exit code, state of the run, results)
FAILURES = [
    (ConfigError("model.build: unknown key 'encodr'"), 2, "failed", 0),
    (UnsuitableError("model=unet", "it needs a GPU"), 2, "skipped", 0),
    (RunError("the weights can't be read"), 1, "failed", 1),
]


def test_only_a_run_that_was_begun_leaves_a_result(compose, tmp_path):
    folders = [f"runs={tmp_path / 'runs'}", f"results={tmp_path / 'results'}"]
    settings = ["source=phantom", "tracking=none", "device=cpu", "recipe=tiny"]
    config = resolve_config(compose("dataset=phantom", "model=unet", *settings, *folders))
    config.run_dir.mkdir(parents=True)
    for error, code, state, results in FAILURES:
        assert record_failure(config, error) == code
        assert len(list((tmp_path / "results").rglob("*.json"))) == results
        status = run_status(config.address)
        assert (status.state, status.reason) == (state, str(error))


class Dark:
    """A model whose restore takes a folder instead of the run."""

    def restore(self, folder):
        (folder / "best.txt").read_text()


def test_a_wrong_restore_is_named(tmp_path):
    (tmp_path / "best.txt").write_text("8")
    run = Run(tmp_path, "cpu", 0, "fp32", 1, score=lambda pairs: 0.0)
    node = ModelConfig("dark", 1, {"_target_": "dark.Dark"}, {})
    says = r"^restore\(\) of dark.Dark failed: TypeError: unsupported operand .*best.txt: mend"
    with pytest.raises(RunError, match=says):
        restore_weights(node, Dark(), run)
