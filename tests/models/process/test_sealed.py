"""One model per adapter on our loop, in a process of its own: without a network, with nothing to
write to but its run's folder; and killed in its second epoch, then started again. (test_yolo.py and
test_nnunet.py do so with the others.)
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.paths import ROOT
from tests.models.train.test_models import Subject, images_of, same, subject_of

ADAPTERS = ("unet", "unet_kumar2025", "fasterrcnn", "heatmap")  # of smp, own, detector, heatmap
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
    """From now on this process may neither use the network nor change a file outside folder (and
    that for temporary files, which torch's import tries out); its tries are listed.
    """
    tried: list[str] = []
    allowed = tuple(str(place.resolve()) + os.sep for place in (folder, Path(os.environ["TMPDIR"])))

    def inside(path: Any) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return True  # a descriptor: opened before
        whole = os.path.realpath(os.fsdecode(path))
        return (whole + os.sep).startswith(allowed) or whole.startswith(("/dev/", "/proc/"))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in NETWORK:
            refused = True
        elif event == "open":
            refused = bool((arguments[2] or 0) & WRITING) and not inside(arguments[0])
        else:
            refused = event in CHANGES and not inside(arguments[0])
        if refused:
            tried.append(f"{event} {arguments[:2]}")
            raise OSError(f"sealed: {event} {arguments[:2]}")

    sys.addaudithook(watch)
    return tried


def trained_sealed(file: str, folder: str) -> None:
    """In the child: a whole training and its predictions, sealed; kept at folder/predictions."""
    subject: Subject = pickle.loads(Path(file).read_bytes())
    tried = seal(Path(folder))
    model = subject.fit(Path(folder), subject.samples, epochs=EPOCHS)
    predictions = list(model.predict(images_of(subject.samples)))
    (Path(folder) / "predictions").write_bytes(pickle.dumps(predictions))
    assert not tried, tried


def killed(file: str, folder: str) -> None:
    """In the child: killed while it validates its second epoch."""
    subject: Subject = pickle.loads(Path(file).read_bytes())
    plain = subject.run

    def run(at: Path, seed: int = 0) -> Any:
        plain_run = plain(at, seed)
        scored = []

        def score(pairs: Any) -> float:
            scored.append(plain_run.score(pairs))
            if len(scored) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return scored[-1]

        return type(plain_run)(
            plain_run.dir,
            plain_run.device,
            seed,
            plain_run.precision,
            plain_run.threads,
            score,
            plain_run.log,
        )

    object.__setattr__(subject, "run", run)
    subject.fit(Path(folder), subject.samples, epochs=EPOCHS)


def child(function: str, file: Path, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "from tests.models.process import test_sealed; "
        f"test_sealed.{function}({str(file)!r}, {str(folder)!r})"
    )
    places = dict.fromkeys(
        ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCH_HOME", "HF_HOME"), str(home)
    )
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("TORCHINDUCTOR")
    }  # torch sets it
    environment = {
        **inherited,
        **places,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    environment |= {
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLCONFIGDIR": str(home),
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


@pytest.mark.parametrize("name", ADAPTERS)
def test_sealed_and_killed(name, compose, tmp_path):
    """Sealed it trains and predicts, with HOME left empty; killed and started again it predicts the
    same to the bit.
    """
    subject, home = subject_of(name, compose), tmp_path / "home"
    home.mkdir()
    (tmp_path / "tmp").mkdir()
    file = tmp_path / "subject"
    file.write_bytes(pickle.dumps(subject))
    (tmp_path / "sealed").mkdir()
    done = child("trained_sealed", file, tmp_path / "sealed", home)
    assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == []
    straight = pickle.loads((tmp_path / "sealed" / "predictions").read_bytes())
    dead = child("killed", file, tmp_path / "killed", home)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    assert list((tmp_path / "killed").glob("checkpoint-*")) and not list(
        (tmp_path / "killed").glob("*.tmp")
    )
    again = child("trained_sealed", file, tmp_path / "killed", home)
    assert again.returncode == 0, again.stderr
    resumed = pickle.loads((tmp_path / "killed" / "predictions").read_bytes())
    assert len(resumed) == len(straight) == 8 and all(map(same, straight, resumed))
