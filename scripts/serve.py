"""Serve the leaderboard's page on this machine, with the result pages and what they share.

    python scripts/serve.py [--open] [--port 8000] [--results DIR] [--json FILE]

It prints the address and serves until it is stopped (Ctrl-C); only this machine can reach it. The
page needs no server: results/index.html opens from disk as well.
"""

from __future__ import annotations

import argparse
import json
import sys
import webbrowser
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from usbench.errors import DataError, RunError, UsbenchError
from usbench.io import console
from usbench.io.files import write_all

ROOT = Path(__file__).resolve().parent.parent
HERE = "127.0.0.1"


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each on the terminal."""

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="default: %(default)s; 0: any that is free"
    )
    parser.add_argument("--open", action="store_true", help="open it in the browser too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the address as JSON too")
    return parser.parse_args(argv)


def open_server(results: Path, port: int) -> ThreadingHTTPServer:
    """A server of the results' folder, not yet running.

    Raises:
        DataError: there is no page.
        RunError: the port isn't free.
    """
    page = results / "index.html"
    if not page.is_file():
        raise DataError(f"{page}: no page found; run python scripts/leaderboard.py")
    try:
        return ThreadingHTTPServer((HERE, port), partial(Quiet, directory=str(results)))
    except (OSError, OverflowError) as error:
        raise RunError(
            f"--port {port}: not available ({error}); use another port, or 0 for any that is free"
        ) from error


def serve(options: argparse.Namespace) -> int:
    """Serve until stopped; the exit code."""
    with open_server(options.results, options.port) as running:
        address = f"http://{HERE}:{running.server_address[1]}/"
        if options.json:
            write_all({options.json: (json.dumps({"address": address}) + "\n").encode()})
        console.say(f"{address} shows {options.results / 'index.html'}; stop it with Ctrl-C")
        if options.open:
            webbrowser.open(address)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            console.say("stopped")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit code 1 where there is no page or port, 2 for wrong options."""
    options = parse_arguments(argv)
    try:
        return serve(options)
    except UsbenchError as error:
        console.warn(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
