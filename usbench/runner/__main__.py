"""The child process of a run: python -m usbench.runner CONFIG.yaml [--overwrite]"""

from __future__ import annotations

import sys


def main() -> int:
    """Do the run; the exit code, 130 after Ctrl-C, which the parent process reports."""
    try:
        from usbench.runner.child import do_command  # in here, as it takes seconds to load

        return do_command(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
