"""The errors a user can cause, and the exit code of each.

A message is one line: which file or key, expected what, got what, what to do.
"""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, choices: Iterable[str], form: str = "{}") -> str:
    """Such as "; did you mean unet?"; "" where no choice is like the word.

    Args:
        form: how the nearest choice is written, with {} for it.
    """
    nearest = difflib.get_close_matches(word, list(choices), 1)
    return f"; did you mean {form.format(nearest[0])}?" if nearest else ""


def in_one_line(text: object) -> str:
    """A text, or an error's message, without line breaks."""
    return " ".join(str(text).split())


class UsbenchError(Exception):
    """Something a user can mend; shown as one line on stderr, without a traceback."""

    exit_code = 1


class DataError(UsbenchError):
    """A file or folder that isn't what its format says."""


class RunError(UsbenchError):
    """A run or its surroundings failed: no CUDA, a loss that isn't finite, a full disk."""


class ConfigError(UsbenchError):
    """A configuration that can't be run: an unknown name, a task the dataset doesn't have."""

    exit_code = 2


class UnsuitableError(ConfigError):
    """A combination of valid parts that can't be run; a sweep skips it.

    Args:
        subject: the overrides, or the model, that the combination is about.
        reason: why it can't be run; a sweep's table has it without the rest.
        advice: what to do instead.
    """

    def __init__(self, subject: str, reason: str, advice: str = "") -> None:
        super().__init__(f"{subject}: {reason}; {advice}" if advice else f"{subject}: {reason}")
        self.reason = reason


class Finished(BaseException):
    """The command ends here, with an exit code; what there was to say has been said.

    Not an Exception: Hydra catches those in callbacks and jobs, and adds lines of its own.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
