"""The command: Hydra composes a configuration, which becomes a cell, which a child process runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from usbench.cli.listing import conf_dir
from usbench.cli.run import Broken, job
from usbench.io.console import warn
from usbench.runner.plan import one_line
from usbench.sweep import planner as sweep
from usbench.sweep import search


def main() -> None:
    """Console script `usbench`, and `python -m usbench`."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as python -m does: a lab's own modules lie here
    os.environ["HYDRA_FULL_ERROR"] = (
        "1"  # let errors through to here instead of Hydra's own long report
    )
    command = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)
    code = 0
    try:
        command()
    except (HydraException, OmegaConfBaseException) as wrong:
        warn(one_line(wrong))
        code = 2
    except Broken as wrong:
        code = wrong.exit_code
    except KeyboardInterrupt:
        code = 130
    except Exception as wrong:
        if not sweep.current:
            raise
        if str(wrong) not in search.HARMLESS:
            warn(
                f"the launcher broke: {type(wrong).__name__}: {' '.join(str(wrong).split())[:400]}"
            )
        code = 1
    if sweep.current:
        code = max(sweep.end(), code)
    sys.exit(code)


if __name__ == "__main__":
    main()
