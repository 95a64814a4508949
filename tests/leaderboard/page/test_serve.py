"""The server shows the page to this machine alone."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

import pytest

from tests.helpers.paths import ROOT
from tests.leaderboard.page.site import write_site
from usbench.cli import serve
from usbench.errors import DataError, RunError


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("site"))


@pytest.mark.process
def test_the_server_shows_the_page_to_this_machine_alone(site, tmp_path):
    address_file = tmp_path / "address.json"
    command = [
        *(sys.executable, "-m", "usbench", "serve"),
        "--results",
        str(site.parent),
        "--port",
        "0",
    ]
    running_ = subprocess.Popen(
        [*command, "--json", str(address_file)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        line = running_.stdout.readline()
        address = json.loads(address_file.read_text())["address"]
        assert address in line and address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=10) as response:
            assert response.read() == site.read_bytes()
    finally:
        running_.terminate()
        running_.wait(10)


def test_a_server_without_a_page_or_a_port_says_so(site, tmp_path):
    with pytest.raises(DataError, match=r"index\.html.*usbench leaderboard"):
        serve.open_server(tmp_path, 0)
    with serve.open_server(site.parent, 0) as first, pytest.raises(RunError, match="--port"):
        serve.open_server(site.parent, first.server_address[1])
