"""Serve the leaderboard's page on this machine, with the result pages and what they share.

    usbench serve [--open] [--port 8000] [--results DIR] [--json FILE]

It prints the address and serves until it is stopped (Ctrl-C); only this machine can reach it. The
page needs no server: results/index.html opens from disk as well.
"""

from __future__ import annotations

import webbrowser
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from usbench.cli.options import Options, make_parser, run_verb, write_json
from usbench.errors import DataError, RunError
from usbench.io import console

HERE = "127.0.0.1"


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each on the terminal."""

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def open_server(results: Path, port: int) -> ThreadingHTTPServer:
    """A server of the results' folder, not yet running.

    Raises:
        DataError: there is no page.
        RunError: the port isn't free.
    """
    page = results / "index.html"
    if not page.is_file():
        raise DataError(f"{page}: no page found; run usbench leaderboard")
    try:
        return ThreadingHTTPServer((HERE, port), partial(Quiet, directory=str(results)))
    except (OSError, OverflowError) as error:
        raise RunError(
            f"--port {port}: not available ({error}); use another port, or 0 for any that is free"
        ) from error


def serve(options: Options) -> None:
    """Serve until stopped."""
    with open_server(options.results, options.port) as running:
        address = f"http://{HERE}:{running.server_address[1]}/"
        write_json(options.json, {"address": address})
        console.say(f"{address} shows {options.results / 'index.html'}; stop it with Ctrl-C")
        if options.open:
            webbrowser.open(address)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            console.say("stopped")


def main(argv: list[str] | None = None) -> int:
    """The command; exit code 1 where there is no page or port, 2 for wrong options."""
    parser = make_parser(__doc__, "write the address as JSON too", "serve", ("results",))
    add = parser.add_argument
    add("--port", type=int, default=8000, help="default: %(default)s; 0: any that is free")
    add("--open", action="store_true", help="open it in the browser too")
    return run_verb(serve, parser.parse_args(argv))
