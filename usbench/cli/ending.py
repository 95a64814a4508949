"""How a command ends: with an exit code, and one line on stderr where something went wrong."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable

from usbench.errors import ConfigError, Finished, UsbenchError, in_one_line
from usbench.io.console import OUTPUT, accept_any_text, warn
from usbench.io.files import WRITE_ADVICE

INTERRUPTED = 130  # exit code after Ctrl-C
LONGEST_LINE = 1000  # characters of a message; of a longer one the middle is left out


def run_to_end(command: Callable[[], int]) -> int:
    """Run a command; whatever stops it becomes one line on stderr.

    Returns:
        The command's exit code; 2 for an error of configuration, 1 for any other, 130 after Ctrl-C.
    """
    accept_any_text()
    try:
        code = exit_code_of(command)
        flush_output()  # what can't be written is an error now, not at the interpreter's end
        return code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
        return report_error(error)
    finally:
        drop_unwritable_output()


def exit_code_of(command: Callable[[], int]) -> int:
    """The exit code that a command returns, or that argparse or a run ended it with."""
    try:
        return command()
    except Finished as end:
        return end.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def report_error(error: BaseException) -> int:
    """Print one line on stderr, after the traceback if debug=true; the exit code."""
    if wants_traceback() and not isinstance(error, KeyboardInterrupt):
        warn("".join(traceback.format_exception(error)))
    message = in_one_line(explain_error(error))
    if len(message) > LONGEST_LINE:
        half = LONGEST_LINE // 2
        message = f"{message[:half]} … {message[-half:]}"
    if message:
        warn(message)
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED
        case UsbenchError():
            return error.exit_code
        case OSError(errno=errno.ENAMETOOLONG):  # of an argument
            return ConfigError.exit_code
    return 1


def explain_error(error: BaseException) -> str:
    """An error for people; "" where nobody reads it."""
    match error:
        case UsbenchError():
            return str(error)
        case KeyboardInterrupt():
            return "interrupted"
        case BrokenPipeError():  # such as `| head -1`, which has what it wants
            return ""
        case OSError() if error.filename == OUTPUT or not (error.filename or can_write_output()):
            return f"{OUTPUT}: can't be written ({error.strerror}); {WRITE_ADVICE}"
        case OSError(errno=errno.ENAMETOOLONG):
            return f"{os.fsdecode(error.filename or '')}: expected a shorter name, got one too long"
        case OSError():
            place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            return f"{place}{error.strerror or error}; {WRITE_ADVICE}"
        case RecursionError():
            return "a file or argument is nested too deeply (debug=true shows where)"
    return f"{type(error).__name__}: {error} (debug=true shows where)"


def wants_traceback() -> bool:
    """Whether the command line says debug=true."""
    return "debug=true" in sys.argv


def flush_output() -> None:
    """Write what is left for stdout, which a command may have been started without."""
    if sys.stdout is not None:
        sys.stdout.flush()


def can_write_output() -> bool:
    """Whether stdout takes what is left to write."""
    try:
        flush_output()
    except (OSError, ValueError):
        return False
    return True


def drop_unwritable_output() -> None:
    """Let what stdout didn't take go nowhere, as the interpreter writes it once more at its end."""
    if not can_write_output():
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
