"""The command: a verb, or Hydra composes a configuration, which becomes a run in a child process."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

INTERRUPTED = 130


def main() -> None:
    """Console script `usbench`, and `python -m usbench`."""
    try:
        from usbench.cli.ending import run_to_end  # in here, for a Ctrl-C while it loads
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(run_to_end(run_command))


def run_command() -> int:
    """Do what the command line says; the exit code."""
    from usbench.cli.options import add_working_directory
    from usbench.cli.verbs import dispatch

    add_working_directory()
    code = dispatch(sys.argv[1:])
    return run_hydra() if code is None else code


def run_hydra() -> int:
    """Run what the overrides on the command line say; the exit code."""
    # Hydra is slow to import, and verbs do without
    import hydra

    from usbench.cli.ending import report_error
    from usbench.cli.options import named_config_dir, own_config_dir
    from usbench.cli.verbs import complete_verb
    from usbench.io.config import (
        HYDRA_ERRORS,
        check_config_dir,
        check_keys,
        conf_dir,
        explain,
        quote_patterns,
    )

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of Hydra's own long report
    config_dir = named_config_dir(sys.argv)
    if config_dir is None and (config_dir := own_config_dir()):
        sys.argv += ["--config-dir", str(config_dir)]
    if {"-sc", "--shell-completion"} & set(sys.argv):
        if "COMP_LINE" in os.environ:
            os.environ["COMP_LINE"] = complete_verb(os.environ["COMP_LINE"])
    else:
        check_keys(sys.argv[1:], partial(find_recipe_path, config_dir=config_dir))
        check_config_dir(config_dir)
        sys.argv[1:] = quote_patterns(sys.argv[1:])

    # after the checks, as these import much more
    from usbench.cli.run import FailedRunError, run_job
    from usbench.errors import ConfigError, in_one_line
    from usbench.io.console import warn
    from usbench.runner.declared import declared_keys
    from usbench.sweep.planner import collect_sweeps
    from usbench.sweep.search import Search

    start = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
    code = 0
    with collect_sweeps() as sweeps:
        try:
            start(run_job)()
        except HYDRA_ERRORS as error:
            declared = partial(declared_keys, arguments=sys.argv[1:], config_dir=config_dir)
            code = report_error(ConfigError(explain(error, declared)))
        except FailedRunError as error:
            code = error.exit_code
        except KeyboardInterrupt as error:
            code = report_error(error)
        except Exception as error:
            if not sweeps:
                raise
            if not (isinstance(sweeps[0], Search) and sweeps[0].has_ended()):
                warn(f"the launcher broke: {type(error).__name__}: {in_one_line(error)[:400]}")
            code = 1
        return max([code, *(sweep.finish() for sweep in sweeps)])


def find_recipe_path(key: str, config_dir: Path | None) -> str | None:
    """See `usbench.runner.declared.recipe_path`, which is slow to import."""
    from usbench.runner.declared import recipe_path

    return recipe_path(key, sys.argv[1:], config_dir)


if __name__ == "__main__":
    main()
