"""Serve the leaderboard's page on this machine, with the result pages and what they share.

    usbench serve [--open] [--port 8000] [--results DIR] [--json FILE]

It prints the address and serves until it is stopped (Ctrl-C); only this machine can reach it, by
the names localhost, 127.0.0.1 and [::1]. Folders aren't listed, links out of DIR not followed. The
page needs no server: results/index.html opens from disk as well.
"""

from __future__ import annotations

import io
import re
import webbrowser
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from usbench.cli.options import Options, make_parser, run_verb, write_json
from usbench.errors import DataError, RunError
from usbench.io import console
from usbench.io.plain_text import has_controls

HERE = "127.0.0.1"
HOSTS = (HERE, "localhost", "[::1]")  # what this machine may be called


class PageHandler(SimpleHTTPRequestHandler):
    """Files below a folder, for this machine's browsers; no line for each on the terminal."""

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Answer with a file, or with an error where it isn't one that may be seen."""
        refusal = find_refusal(self.headers.get("Host"), self.path)
        if refusal is None and not is_public(Path(self.translate_path(self.path)), self.directory):
            refusal = HTTPStatus.NOT_FOUND
        if refusal:
            self.send_error(refusal)
            return None
        return super().send_head()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def find_refusal(host: str | None, path: str) -> HTTPStatus | None:
    """Why a request isn't answered; None where it is.

    Args:
        host: the Host header. Another site's name that leads to this machine (DNS rebinding) would
            let that site's scripts read the page.
        path: what is asked for.
    """
    name = re.sub(r":\d*$", "", host or "").lower()
    if name not in HOSTS:
        return HTTPStatus.MISDIRECTED_REQUEST
    return HTTPStatus.BAD_REQUEST if has_controls(unquote(path)) else None


def is_public(path: Path, folder: str) -> bool:
    """Whether a path is a file in the folder, where no link leads out of it, or has a page."""
    try:
        file = path / "index.html" if path.is_dir() else path
        return file.is_file() and file.resolve().is_relative_to(Path(folder).resolve())
    except (OSError, RuntimeError):  # a name that is too long, links in a circle
        return False


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
        return ThreadingHTTPServer((HERE, port), partial(PageHandler, directory=str(results)))
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
