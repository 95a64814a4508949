"""One model of every adapter, trained in a process of its own.

It trains without a network and writes to nothing but its run's folder. Killed in its second
validation and started again, it predicts what an uninterrupted training predicts, to the last bit.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.paths import ROOT
from tests.models.train.test_models import Subject, images_of, same, subject_of
from usbench.types import Run

# smp, a net of our own, torchvision, heatmap, ultralytics, nnU-Net
ADAPTERS = ("unet", "unet_kumar2025", "fasterrcnn", "heatmap", "yolov8", "nnunet")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "shutil.rmtree",
}
NETWORK = {
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "socket.bind",
}
EPOCHS = 3


def seal(folder: Path) -> list[str]:
    """Forbid this process the network and every change of a file outside `folder`.

    TMPDIR is allowed too: importing torch tries out temporary files. Returns the list to which each
    refused attempt is added.
    """
    refused: list[str] = []
    allowed = tuple(str(place.resolve()) + os.sep for place in (folder, Path(os.environ["TMPDIR"])))

    def is_inside(path: Any, folder: int = -1) -> bool:
        """`folder`: the descriptor of the folder that a relative path starts from, or -1."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return True  # a descriptor: opened before
        start = Path(f"/proc/self/fd/{folder}").readlink() if folder >= 0 else Path()
        whole = os.path.realpath(start / os.fsdecode(path))
        return (whole + os.sep).startswith(allowed) or whole.startswith(("/dev/", "/proc/"))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.remove", "os.rmdir"):
            allows = is_inside(*arguments)
        elif event in CHANGES or (event == "open" and (arguments[2] or 0) & WRITING):
            allows = is_inside(arguments[0])
        else:
            allows = event not in NETWORK
        if not allows:
            refused.append(f"{event} {arguments[:2]}")
            raise OSError(f"sealed: {event} {arguments[:2]}")

    sys.addaudithook(watch)
    return refused


class KilledSubject(Subject):
    """A training that is killed in its second validation."""

    def run(self, folder: Path, seed: int = 0) -> Run:
        run = super().run(folder, seed)
        scored = []

        def score(pairs: Any) -> float:
            scored.append(run.score(pairs))
            if len(scored) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return scored[-1]

        return replace(run, score=score)


def train_sealed(file: str, folder: str) -> None:
    """In the child: a whole training and its predictions, sealed; they stay at folder/predictions."""
    subject: Subject = pickle.loads(Path(file).read_bytes())
    refused = seal(Path(folder))
    model = subject.fit(Path(folder), subject.samples, epochs=EPOCHS)
    predictions = list(model.predict(images_of(subject.samples)))
    (Path(folder) / "predictions").write_bytes(pickle.dumps(predictions))
    assert not refused, refused


def train_until_killed(file: str, folder: str) -> None:
    """In the child: a training that doesn't get beyond its second epoch."""
    subject: Subject = pickle.loads(Path(file).read_bytes())
    KilledSubject(**vars(subject)).fit(Path(folder), subject.samples, epochs=EPOCHS)


def run_child(
    function: str, file: Path, folder: Path, home: Path
) -> subprocess.CompletedProcess[str]:
    code = (
        "from tests.models.process import test_sealed; "
        f"test_sealed.{function}({str(file)!r}, {str(folder)!r})"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("TORCHINDUCTOR")
    }  # torch sets it
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCH_HOME", "HF_HOME"):
        environment[name] = str(home)
    environment |= {
        "MPLCONFIGDIR": str(home),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore::FutureWarning",  # of torch's own import
        "TMPDIR": str(home.parent / "tmp"),
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds a file's folder in /proc")
@pytest.mark.parametrize("name", ADAPTERS)
def test_sealed_and_killed(name, compose, tmp_path):
    """Not a word but our progress, nothing in HOME; the resumed training repeats no finished epoch."""
    subject, home = subject_of(name, compose), tmp_path / "home"
    sealed, killed = tmp_path / "sealed", tmp_path / "killed"
    for folder in (home, tmp_path / "tmp", sealed, killed):
        folder.mkdir()
    file = tmp_path / "subject"
    file.write_bytes(pickle.dumps(subject))

    finished = run_child("train_sealed", file, sealed, home)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == ""
    lines = finished.stderr.splitlines()
    assert lines and all(line.startswith("training: epoch ") for line in lines), finished.stderr
    assert list(home.iterdir()) == []

    stopped = run_child("train_until_killed", file, killed, home)
    assert stopped.returncode == -signal.SIGKILL, stopped.stderr
    assert list(killed.glob("checkpoint-*")) and not list(killed.glob("*.part"))
    before = len(subject.trained_epochs(killed))

    resumed = run_child("train_sealed", file, killed, home)
    assert resumed.returncode == 0, resumed.stderr
    assert subject.trained_epochs(sealed) == [1, 2, 3]
    # [3] where every second epoch is validated
    assert subject.trained_epochs(killed)[before:] in ([2, 3], [3])
    pair = [pickle.loads((folder / "predictions").read_bytes()) for folder in (sealed, killed)]
    assert len(pair[0]) == len(pair[1]) == 8 and all(map(same, *pair))
