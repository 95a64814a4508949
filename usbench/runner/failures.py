"""Why a run broke, in one line, and its failed result."""

from __future__ import annotations

from usbench.errors import UsbenchError
from usbench.io.console import warn
from usbench.results.publication import publish_result
from usbench.runner.config import RunConfig
from usbench.runner.facts import failed_result
from usbench.runner.publish import REPLACED


def explain_failure(error: BaseException) -> str:
    """An error in one line, with what to do."""
    text = " ".join(str(error).split())
    if isinstance(error, UsbenchError):
        return text
    if isinstance(error, OSError) and error.filename:
        advice = "check the folder, its permissions and the free space"
        return f"{error.filename}: {error.strerror}; {advice}"
    return f"{type(error).__name__}: {text} (debug=true shows where)"


def save_failure(config: RunConfig, reason: str) -> None:
    """Save a failed result, where one can be written at all."""
    try:
        damaged_copy = config.run_dir / REPLACED
        publish_result(config.results, failed_result(config, reason), None, damaged_copy)
    except UsbenchError as error:
        warn(str(error))
