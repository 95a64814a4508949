"""usbench serve: which requests are answered, without a process of its own."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from usbench.cli.serve import find_refusal, open_server


@pytest.fixture(scope="module")
def port(tmp_path_factory) -> Iterator[int]:
    """Of a server of a folder with a page, a file, a folder without a page and links."""
    top = tmp_path_factory.mktemp("served")
    folder = top / "results"
    (folder / "empty").mkdir(parents=True)
    (top / "secret.txt").write_text("secret")
    (top / "outside").mkdir()
    (top / "outside" / "index.html").write_text("secret")
    (folder / "index.html").write_text("page")
    (folder / "empty" / "a.txt").write_text("file")
    (folder / "link.txt").symlink_to(top / "secret.txt")
    (folder / "folder").symlink_to(top / "outside")
    (folder / "inside.txt").symlink_to(folder / "empty" / "a.txt")
    (folder / "circle").symlink_to(folder / "circle")
    with open_server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def ask(
    port: int, path: str, host: str | None = "127.0.0.1", method: str = "GET"
) -> tuple[int, str]:
    """(status, body) of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


ANSWERS = {
    "/": (200, "page"),
    "/index.html": (200, "page"),
    "/empty/a.txt": (200, "file"),
    "/inside.txt": (200, "file"),
    "/empty/": (404, ""),  # not listed
    "/link.txt": (404, ""),
    "/folder/": (404, ""),
    "/folder/index.html": (404, ""),
    "/circle": (404, ""),
    "/none.txt": (404, ""),
    "/../secret.txt": (404, ""),
    "/%2e%2e/secret.txt": (404, ""),
    "/%00": (400, ""),
    "/index.html%00": (400, ""),
    "/%0d%0aX: y": (400, ""),
    "/" + "x" * 5000: (404, ""),
}


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path[:30])
def test_only_files_of_the_folder_are_answered(port, path):
    expected, text = ANSWERS[path]
    status, body = ask(port, path.replace(" ", "%20"))
    assert status == expected and "secret" not in body
    assert not text or body == text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1:8000:1", 421),
        ("[::1].evil.example", 421),
        ("", 421),
        (None, 421),
    ],
)
def test_only_this_machine_s_names_are_answered(port, host, status):
    assert ask(port, "/", host)[0] == status
    assert ask(port, "/", host, "HEAD")[0] == status
    refusal = find_refusal(host, "/")
    assert (refusal or 200) == status


def test_a_name_of_the_folder_that_is_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "index.html").write_text("page")
    (tmp_path / "results").symlink_to(tmp_path / "real")
    with open_server(Path(tmp_path / "results"), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert ask(server.server_address[1], "/") == (200, "page")
        server.shutdown()
