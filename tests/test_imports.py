"""Which package may import which (DESIGN section 2), and what stays unloaded."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

PACKAGE = ROOT / "usbench"
BASE = {"types", "errors"}
RUNNER = {*BASE, "io", "metrics", "models", "catalogue", "datasets", "results"}
CLI = {*RUNNER, "leaderboard", "runner", "sweep", "evaluate"}
MAY = {  # package → what it may import of usbench besides itself
    "types": set(),
    "errors": set(),
    "io": {"errors"},
    "metrics": BASE,
    "models": {*BASE, "io"},
    "catalogue": {"io", "errors"},
    "datasets": {*BASE, "io"},
    "datasets/check": {"catalogue"},
    "results": {*BASE, "io", "metrics", "datasets"},
    "leaderboard": {*BASE, "io", "metrics", "datasets", "catalogue", "results"},
    "runner": RUNNER,
    "sweep": {*RUNNER, "runner"},
    "evaluate": {*BASE, "io", "metrics", "models", "datasets", "results", "runner"},
    "cli": CLI,
    "__init__": {"cli"},  # the Python API, loaded on first use
    "__main__": {"cli", "errors", "io", "runner", "sweep"},
}


MLFLOW = ("inputs", "mlflow_store", "sweeps")  # of runner/tracking


@functools.cache
def imported(path: Path) -> set[str]:
    """Every module that a file's import statements name, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ImportFrom) and node.level), (
            f"{path.name} imports by a relative name"
        )
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return names


def own_packages(path: Path) -> set[str]:
    """The packages of usbench that a file imports."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("usbench.")}


FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


def libraries(name: str) -> set[str]:
    """The libraries that a file of usbench imports: torch, numpy …"""
    return {module.split(".")[0] for module in imported(FILES[name])}


def package_of(name: str) -> str:
    return name.split("/")[0].removesuffix(".py")


def test_the_table_names_every_package():
    assert {package_of(name) for name in FILES} == {name for name in MAY if "/" not in name}


def test_the_top_of_the_package_has_at_most_fifteen_entries():
    entries = {
        path.name
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert len(entries) <= 15, sorted(entries)


@pytest.mark.parametrize("name", FILES)
def test_imports_go_one_way(name):
    package = package_of(name)
    allowed = MAY.get(package, set()) | {package, "__version__"}
    for part in MAY:
        if name.startswith(f"{part}/"):
            allowed = allowed | MAY[part]
    beyond = own_packages(FILES[name]) - allowed
    assert not beyond, f"{name} imports {beyond}"


@pytest.mark.parametrize(
    ("library", "where"),
    [
        ("ultralytics", "models/yolo/package.py"),
        ("segmentation_models_pytorch", "models/smp.py"),
        ("timm", "models/heatmap/model.py models/nets/swinunet.py models/nets/transunet.py"),
        ("transformers", "models/backbone.py"),
        ("nnunetv2", "models/nnunet/model.py models/nnunet/planner.py models/nnunet/trainer.py"),
        ("mlflow", " ".join(f"runner/tracking/{name}.py" for name in MLFLOW)),
        ("optuna", "sweep/studies.py"),
        ("hydra", "__main__.py io/config.py sweep/planner.py"),
        ("omegaconf", "io/config.py sweep/planner.py"),
        ("torchmetrics", "metrics/modules.py"),
        ("pandas", "cli/api.py"),
        ("faster_coco_eval", "datasets/codecs/rle.py"),
    ],
)
def test_a_framework_stays_in_its_package(library, where):
    assert {name for name in FILES if library in libraries(name)} == set(where.split())


def test_torch_is_for_models_the_torchmetrics_modules_and_the_run():
    users = {name for name in FILES if libraries(name) & {"torch", "torchvision"}}
    allowed = ("metrics/modules.py", "runner/experiment.py", "runner/device_histogram.py")
    assert all(name.startswith("models/") or name in allowed for name in users), users


FILE_LIBRARIES = {
    "PIL",
    "csv",
    "gzip",
    "io",
    "json",
    "os",
    "pathlib",
    "pickle",
    "shutil",
    "tempfile",
    "yaml",
    "zipfile",
}


@pytest.mark.parametrize(
    ("package", "unknown"),
    [
        ("types", {"torch", "hydra", "omegaconf", "os", "json", "yaml"}),
        ("datasets", {"torch", "hydra", "omegaconf"}),
        ("metrics", {"hydra", "omegaconf", *FILE_LIBRARIES}),
        ("models", {"hydra", "omegaconf", "mlflow"}),
        ("results", {"torch", "hydra", "omegaconf"}),
        ("leaderboard", {"torch", "hydra", "omegaconf"}),
        ("catalogue", {"torch", "hydra", "omegaconf"}),
    ],
)
def test_what_a_package_must_not_import(package, unknown):
    members = [name for name in FILES if package_of(name) == package]
    assert members
    used = {name: libraries(name) & unknown for name in members}
    assert not any(used.values()), used


@pytest.mark.process
def test_what_only_reads_loads_no_framework():
    code = (
        "import sys, usbench.__main__, usbench.leaderboard.build, usbench.results.scoring\n"
        "import usbench.runner.experiment\n"
        "heavy = {'torch', 'torchvision', 'mlflow', 'ultralytics', 'torchmetrics', 'matplotlib',"
        " 'segmentation_models_pytorch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
