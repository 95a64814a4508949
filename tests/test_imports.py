"""The rooms keep to themselves: which module may import which, and what stays unloaded."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "usbench"


@functools.cache
def imported(path: Path) -> set[str]:
    """Every module that a file's import statements name, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path.name} imports by a relative name"
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def rooms(path: Path) -> set[str]:
    """The usbench rooms that a file imports: types, codecs, datasets …"""
    return {name.split(".")[1] for name in imported(path) if name.startswith("usbench.")}


FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
MAY = {  # room → what it may know of usbench besides itself
    "types": set(),
    "errors": set(),
    "console": set(),
    "codecs": {"types", "errors"},
    "datasets": {"types", "errors", "codecs", "console"},
    "metrics": {"types", "errors", "curves"},
    "models": {"types", "errors", "console", "curves"},
    "anatomy": {"types"},
    "scenes": {"types", "anatomy", "curves"},
    "phantom": {"types", "errors", "anatomy", "scenes"},
    "curves": set(),
    "schema": set(),
    "results": {"errors", "schema"},
    "agreement": set(),
    "implant": set(),
    "published": {"types", "errors", "agreement"},
    "board": {"agreement"},
    "versus": {"agreement", "board", "results"},
    "folds": {"errors"},
    "leaderboard": {"agreement", "board", "folds", "published", "results", "versus"},
    "comparison": {"errors", "metrics", "results"},
    "cache": {"codecs", "console", "errors"},
    "pooling": {"cache", "folds", "metrics", "report", "results"},
    "ranking": {"board", "cache", "comparison", "console", "metrics", "results"},
    "track": {"errors", "console", "track_text"},
    "track_text": {"processes"},
    "processes": set(),
    "claims": {"errors", "processes"},
    "publication": {"cell", "claims", "errors", "results"},
    "ledger": {"cell", "claims", "results"},
    "workers": {"errors", "machine"},
    "estimate": {"console", "ledger", "machine", "results"},
    "archives": {"errors", "console"},
    "weights": {"archives", "errors"},
    "findings": set(),
    "pictures": {"codecs", "console", "datasets", "errors", "findings"},
    "tally": {"errors", "findings", "types"},
    "duplicates": {"pictures", "types"},
    "leaks": {"duplicates", "findings", "types"},
    "sheet": {"codecs", "duplicates", "errors"},
    "catalogue": {"errors", "findings"},
    "gallery_file": {"errors"},
    "gallery_shapes": {"curves", "overlay", "types"},
    "gallery_cases": {"overlay", "types"},
    "page": {
        *("board", "board_text", "cache", "catalogue", "cell", "console", "errors", "gallery_cases", "gallery_file"),
        *("published", "report", "results", "types"),
    },
    "checking": {
        *("console", "datasets", "duplicates", "errors", "findings", "leaks", "pictures", "source", "tally", "types"),
        "catalogue",
    },
}


def packages(name: str) -> set[str]:
    """The packages that a file of usbench imports: torch, numpy …"""
    return {module.split(".")[0] for module in imported(FILES[name])}


def room_of(name: str) -> str:
    return name.split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("name", [name for name in FILES if room_of(name) in MAY])
def test_the_arrows_go_one_way(name):
    room = room_of(name)
    beyond = rooms(FILES[name]) - MAY[room] - {room}
    assert not beyond, f"{name} knows {beyond}"


@pytest.mark.parametrize(
    ("package", "where"),
    [
        ("ultralytics", "models/yolo.py"),
        ("segmentation_models_pytorch", "models/smp.py"),
        ("timm", "models/hrnet.py models/nets/swinunet.py models/nets/transunet.py"),
        ("transformers", "models/detr.py models/nets/samed.py"),
        ("nnunetv2", "models/nnunet.py models/nnunet_planner.py models/nnunet_trainer.py"),
        ("mlflow", "track.py"),
        ("optuna", "studies.py"),
        ("torchmetrics", "metrics/modules.py"),
        ("faster_coco_eval", "codecs/rle.py"),
    ],
)
def test_a_foreign_framework_stays_in_its_room(package, where):
    assert {name for name in FILES if package in packages(name)} == set(where.split())


def test_torch_is_for_models_the_torchmetrics_modules_and_the_run():
    users = {name for name in FILES if packages(name) & {"torch", "torchvision"}}
    assert all(name.startswith("models/") or name in ("metrics/modules.py", "run.py") for name in users), users


FILE_PACKAGES = {"PIL", "csv", "gzip", "io", "json", "os", "pathlib", "pickle", "shutil", "tempfile", "yaml", "zipfile"}


@pytest.mark.parametrize(
    ("room", "unknown"),
    [
        ("types", {"torch", "hydra", "omegaconf", "os", "json", "yaml"}),
        ("codecs", {"torch", "hydra", "omegaconf"}),
        ("datasets", {"torch", "hydra", "omegaconf"}),
        ("metrics", {"hydra", "omegaconf", *FILE_PACKAGES}),
        ("models", {"hydra", "omegaconf", "mlflow"}),
        ("phantom", {"torch", "hydra", "omegaconf"}),
        ("results", {"torch", "hydra", "omegaconf"}),
        ("leaderboard", {"torch", "hydra", "omegaconf"}),
        ("catalogue", {"torch", "hydra", "omegaconf"}),
    ],
)
def test_what_a_room_must_not_know(room, unknown):
    members = [name for name in FILES if room_of(name) == room]
    assert members
    found = {name: packages(name) & unknown for name in members}
    assert not any(found.values()), found


def test_what_only_reads_loads_no_framework():
    code = (
        "import sys, usbench.__main__, usbench.leaderboard, usbench.scoring, usbench.run\n"
        "heavy = {'torch', 'torchvision', 'mlflow', 'ultralytics', 'torchmetrics', 'matplotlib',"
        " 'segmentation_models_pytorch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
