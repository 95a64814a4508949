"""The command: a verb, or Hydra composes a configuration, which becomes a run in a child process."""

from __future__ import annotations

import os
import sys
from functools import partial

from usbench.cli.options import add_working_directory, own_config_dir
from usbench.cli.verbs import complete_verb, dispatch


def main() -> None:
    """Console script `usbench`, and `python -m usbench`."""
    add_working_directory()
    code = dispatch(sys.argv[1:])
    sys.exit(run_hydra() if code is None else code)


def run_hydra() -> int:
    """Run what the overrides on the command line say; the exit code."""
    # Hydra is slow to import, and verbs do without
    import hydra

    from usbench.cli.run import FailedRunError, run_job
    from usbench.errors import ConfigError, Finished, in_one_line
    from usbench.io.config import HYDRA_ERRORS, check_keys, conf_dir, explain
    from usbench.io.console import warn
    from usbench.runner.declared import declared_keys
    from usbench.sweep.planner import collect_sweeps
    from usbench.sweep.search import Search

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of Hydra's own long report
    own = own_config_dir()
    if own and not any(argument.startswith(("--config-dir", "-cd")) for argument in sys.argv):
        sys.argv += ["--config-dir", str(own)]
    if {"-sc", "--shell-completion"} & set(sys.argv):
        if "COMP_LINE" in os.environ:
            os.environ["COMP_LINE"] = complete_verb(os.environ["COMP_LINE"])
    else:
        try:
            check_keys(sys.argv[1:])
        except ConfigError as error:
            warn(str(error))
            return error.exit_code
    start = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
    code = 0
    with collect_sweeps() as sweeps:
        try:
            start(run_job)()
        except Finished as end:
            return end.exit_code
        except HYDRA_ERRORS as error:
            warn(explain(error, partial(declared_keys, arguments=sys.argv[1:])))
            code = 2
        except FailedRunError as error:
            code = error.exit_code
        except KeyboardInterrupt:
            code = 130
        except Exception as error:
            if not sweeps:
                raise
            if not (isinstance(sweeps[0], Search) and sweeps[0].has_ended()):
                warn(f"the launcher broke: {type(error).__name__}: {in_one_line(error)[:400]}")
            code = 1
        return max([code, *(sweep.finish() for sweep in sweeps)])


if __name__ == "__main__":
    main()
