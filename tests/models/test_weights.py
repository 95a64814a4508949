"""Starting weights: from a file, an address and a hub, over a local server; bad ones, offline, and
what a key says.
"""

from __future__ import annotations

import hashlib
import http.server
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import safetensors.torch
import torch

from usbench.errors import ConfigError, DataError, RunError
from usbench.models import checkpoints, weights
from usbench.models.loop_model import load_weights
from usbench.models.smp import create_net

CONTENT = b"some weights" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()
CLOSED = "http://127.0.0.1:9/model.pt"  # the port of discard: nobody listens


class Served(http.server.BaseHTTPRequestHandler):
    """An address, and the hub's way to answer: headers that name the commit and the file's hash."""

    requests: list[str]

    def do_HEAD(self):
        self.asked.append(self.path)
        exists = self.path.endswith(("/model.pt", "/resolve/main/model.safetensors"))
        self.send_response(200 if exists else 404)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(CONTENT) if exists else 0))
        self.send_header("ETag", f'"{SHA}"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.end_headers()
        return exists

    def do_GET(self):
        if self.do_HEAD():
            self.wfile.write(CONTENT)

    def log_message(self, *message):
        """Quiet."""


@pytest.fixture
def host():
    """(address, what was asked) of a server on this machine."""
    handler = type("Own", (Served,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler.asked
    server.shutdown()
    server.server_close()


def test_nothing_a_word_and_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.pt").write_bytes(CONTENT)
    assert weights.fetch(None, tmp_path) is None
    for word in ("imagenet", "owner/name"):  # the latter a model's own affair
        assert weights.fetch(word, tmp_path) == word
    assert weights.fetch("own.pt", tmp_path) == str(tmp_path / "own.pt")
    assert (
        weights.weights_sha256(str(tmp_path / "own.pt")) == SHA
        and weights.weights_sha256("imagenet") == "imagenet"
    )
    assert (
        weights.describe_origin("/somewhere/own.pt") == "own.pt"
        and weights.weights_sha256(None) is None
    )


def test_an_address_is_fetched_once_and_verified(tmp_path, host):
    address, requests = host
    stated = {"url": f"{address}/a/model.pt", "sha256": SHA}
    path = Path(str(weights.fetch(stated, tmp_path / "cache")))
    assert (
        path.read_bytes() == CONTENT and path.name == f"{SHA[:12]}-model.pt" and len(requests) == 1
    )
    assert weights.fetch(stated, tmp_path / "cache") == str(path) and len(requests) == 1


def test_other_bytes_a_missing_file_and_no_network_are_one_sentence(tmp_path, host, capsys):
    address, _ = host
    for stated, error, message in (
        (
            {"url": f"{address}/model.pt", "sha256": "0" * 64},
            DataError,
            "expected sha256 0000.*, got",
        ),
        (
            {"url": f"{address}/other.bin", "sha256": SHA},
            RunError,
            "answers 404.*give it as model.build.weights=FILE",
        ),
        ({"url": CLOSED, "sha256": SHA}, RunError, "can't be fetched now"),
    ):
        with pytest.raises(error, match=message) as caught:
            weights.fetch(stated, tmp_path)
        assert "\n" not in str(caught.value) and capsys.readouterr().err == ""
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("https://host/model.pt", "an address needs its sha256"),
        ({"url": "https://host/model.pt"}, "expected"),
        ({"url": "https://host/model.pt", "sha256": "abc"}, "64 digits"),
        ({"url": "ftp://host/model.pt", "sha256": SHA}, "begins with https"),
        ({"hub": "owner/name"}, "expected"),
        ({"hub": "owner/name", "file": 3}, "expected"),
        ({"hub": "not a name", "file": "model.safetensors"}, "expected owner/name"),
        (["model.pt"], "expected"),
        ("none.pt", "no such file at .*none.pt"),
        ("nowhere/none.safetensors", "no such file"),
        ("/nowhere/none", "no such file"),
        ("/", "no such file"),
        (True, "expected"),
    ],
)
def test_what_is_no_weights_is_refused(tmp_path, stated, message):
    with pytest.raises(ConfigError, match=message):
        weights.fetch(stated, tmp_path)


HUB = """
import sys
from pathlib import Path
from usbench.models import weights
from usbench.errors import RunError
try:
    print(weights.fetch({"hub": "lab/net", "file": sys.argv[1]}, Path(".")))
except RunError as told:
    print("refused:", told)
"""


def of_hub(file: str, endpoint: str, home: Path) -> str:
    """What a process of its own says: the hub's library reads its address when it is imported."""
    env = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    env.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", HUB, file], capture_output=True, text=True, env=env, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.process
def test_a_file_of_the_hub_and_one_that_is_not_there(tmp_path, host):
    address, _ = host
    path = Path(of_hub("model.safetensors", address, tmp_path))
    assert path.read_bytes() == CONTENT and "c" * 40 in str(path)
    assert "refused: lab/net/none.pt@main: the weights can't be fetched" in of_hub(
        "none.pt", address, tmp_path
    )


@pytest.mark.process
def test_the_hub_offline_is_one_sentence(tmp_path):
    output = of_hub("model.safetensors", "http://127.0.0.1:9", tmp_path)
    assert (
        output.startswith("refused: lab/net/model.safetensors@main")
        and "a network is needed once" in output
    )


# ---- reading them: tensors alone


def net(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return create_net("unet", "resnet18", 3, decoder_channels=[16, 8, 8, 8, 8])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_state_dict_of_either_kind_is_the_net(tmp_path, suffix):
    source, target, path = net(0), net(1), tmp_path / f"own{suffix}"
    if suffix == ".pt":
        checkpoints.save_file(path, source.state_dict())
    else:
        safetensors.torch.save_file(source.state_dict(), path)
    load_weights(target, path)
    assert all(
        torch.equal(first, other)
        for first, other in zip(source.parameters(), target.parameters(), strict=True)
    )


class Harm:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


@pytest.mark.parametrize("content", ["pickle", "damaged", "other"])
def test_a_pickle_is_never_run_and_other_files_are_named(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("own.safetensors" if content == "damaged" else "own.pt")
    if content == "pickle":
        path.write_bytes(pickle.dumps(Harm()))
    elif content == "damaged":
        path.write_bytes(b"no tensors")
    else:
        checkpoints.save_file(path, {"layer.weight": torch.zeros(3)})
    with pytest.raises(
        RunError, match=rf"{path.name}: expected a state dict of this net"
    ) as caught:
        load_weights(net(0), path)
    assert "\n" not in str(caught.value) and not (tmp_path / "harmed").exists()


def test_the_key_says_the_bytes_wherever_they_come_from(compose, tmp_path, host):
    from usbench.runner.resolve import resolve_config

    address, _ = host
    (tmp_path / "own.pt").write_bytes(CONTENT)
    small = [
        "dataset=usgra",
        "model=unet",
        "source=phantom",
        "dataset.phantom.counts={train:8,test:4}",
        "dataset.phantom.size=[64,64]",
        f"runs={tmp_path}/runs",
    ]
    stated = (f"{tmp_path}/own.pt", f"{{url: {address}/model.pt, sha256: {SHA}}}")
    configs = [
        resolve_config(compose(*small, f"model.build.weights={weights_file}"))
        for weights_file in stated
    ]
    assert configs[0].run_id == configs[1].run_id != resolve_config(compose(*small)).run_id
    assert [config.weights.sha256 for config in configs] == [SHA, SHA]
    assert configs[0].weights.origin == "own.pt" and configs[1].weights.origin["url"].startswith(
        "http"
    )
