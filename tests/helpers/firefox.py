"""A headless Firefox without a network for the tests of the pages, spoken to by WebDriver BiDi; not a test itself.

Playwright drives only a Firefox of its own, and Selenium needs geckodriver, which no registry has. Firefox itself
speaks BiDi (https://w3c.github.io/webdriver-bidi) over a web socket, of which a few commands suffice.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")
LISTENING = "WebDriver BiDi listening on "
SETTINGS = {  # no network: every request but a file's goes to a proxy that isn't there
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "",
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
}
TIMEOUT_S = 30


class Firefox:
    """A page in Firefox."""

    def __init__(self, socket: Any) -> None:
        self.socket, self.commands = socket, 0
        self.errors: list[str] = []  # of the console, since the start
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded"])
        # The first window of a headless Firefox never has the focus; one that is opened has it.
        self.context = self.send("browsingContext.create", type="window")["context"]

    def send(self, method: str, **params: Any) -> Any:
        """The result of a command; events that arrive before it are noted."""
        self.commands += 1
        self.socket.send(json.dumps({"id": self.commands, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(timeout=TIMEOUT_S))
            if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.errors.append(message["params"]["text"])
            if message.get("id") == self.commands:
                assert message["type"] == "success", message
                return message["result"]

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Show an address in a window of a size."""
        size = {"width": width, "height": height}
        self.send("browsingContext.setViewport", context=self.context, viewport=size)
        self.send("browsingContext.navigate", context=self.context, url=address, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, as JSON has it."""
        found = self.send(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})))()",
            target={"context": self.context},
            awaitPromise=True,
        )
        assert found["type"] == "success", found
        return json.loads(found["result"].get("value", "null"))

    def wait_for(self, expression: str) -> None:
        """Wait until an expression holds."""
        self.evaluate(f"""(async () => {{ for (let n = 0; n < 400; n += 1) {{
            if ({expression}) return true; await new Promise((done) => setTimeout(done, 25)); }}
            throw new Error("never"); }})()""")

    def press(self, *keys: str) -> None:
        """Press keys one after the other; Tab is \ue004, Enter \ue007, Escape \ue00c, space " "."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self.send("input.performActions", context=self.context, actions=[source])


@contextmanager
def running() -> Iterator[Firefox]:
    """A Firefox; skips where there is none, or no package websockets."""
    if PROGRAM is None:
        pytest.skip("no Firefox on this machine: apt-get install firefox-esr")
    client = pytest.importorskip(
        "websockets.sync.client", reason="no websockets: pip install 'usbench[test]'"
    )
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as profile:
        lines = [f'user_pref("{name}", {json.dumps(value)});' for name, value in SETTINGS.items()]
        Path(profile, "user.js").write_text("\n".join(lines))
        command = [PROGRAM, "--headless", "--no-remote", "--profile", profile]
        process = subprocess.Popen(
            [*command, "--remote-debugging-port=0"], stderr=subprocess.PIPE, text=True
        )
        try:
            with client.connect(f"{find_address(process)}/session", max_size=None) as socket:
                yield Firefox(socket)
        finally:
            process.terminate()
            process.wait(20)


def find_address(process: subprocess.Popen[str]) -> str:
    """The address that Firefox prints once it listens."""
    assert process.stderr is not None
    for line in process.stderr:
        if LISTENING in line:
            return line.partition(LISTENING)[2].strip()
    raise AssertionError("Firefox ended before it listened")
