"""Where a run's data comes from: the release in its place, or a phantom in the release's format."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import cast

from usbench.datasets.config import DatasetConfig, stated_fields, to_plain
from usbench.datasets.dataset import Dataset, open_view
from usbench.datasets.phantoms import phantom
from usbench.errors import ConfigError, DataError, RunError
from usbench.io.config import build
from usbench.io.console import say, track
from usbench.io.files import canonical_json
from usbench.types import Layout, Task

MARK = "PHANTOM.json"  # in a folder that usbench phantom wrote, whatever it is called


def locate(dataset: DatasetConfig, data: str | None, source: str) -> tuple[bool, Path]:
    """Find the release, or decide for a phantom.

    Args:
        dataset: its `root` names one release's folder.
        data: the folder of releases; None: USBENCH_DATA, else ./data.
        source: auto | real | phantom.

    Returns:
        (whether the release is used, the folder where it is or would be).

    Raises:
        ConfigError: an unknown `source`, `real` for a dataset without a release, or `phantom` for
            one without a phantom.
        DataError: a release was named and isn't there, or has no phantom that could replace it.
    """
    if source not in ("auto", "real", "phantom"):
        raise ConfigError(f"source={source}: expected auto, real or phantom")
    if source == "real" and not dataset.released:
        raise ConfigError(
            f"source=real: {dataset.name} has no release, it is always a phantom; "
            "set source=phantom"
        )
    for key, value in (("data", data), ("dataset.root", dataset.root)):
        if value is not None and not str(value).strip():
            raise ConfigError(f"{key}='': expected a folder, or null")
    data = data or os.environ.get("USBENCH_DATA")
    root = release_folder(dataset, data)
    if source == "phantom":
        require_phantom(dataset)
    if source == "phantom" or not dataset.released:
        return False, root
    named = dataset.root or data or source == "real"
    if not root.is_dir() and (named or not dataset.phantom):
        reason = "no such folder" if dataset.root else f"no {dataset.name} release found"
        if not named:
            reason += ", and it has no phantom"
        advice = f"how to get it: {dataset.access}"
        if not dataset.access:
            advice = "name its folder with data= or dataset.root="
        raise DataError(f"{root}: {reason}; {advice}")
    return root.is_dir(), root


def release_folder(dataset: DatasetConfig, data: str | None) -> Path:
    """Where the release lies or belongs, an absolute path.

    Args:
        dataset: its `root` names one release's folder.
        data: the folder of releases; None: USBENCH_DATA, else ./data.
    """
    # Either may be called by a number, which YAML reads as one.
    folder = Path(str(data or os.environ.get("USBENCH_DATA") or "data"), dataset.name)
    return Path(str(dataset.root or folder)).absolute()


def build_layout(dataset: DatasetConfig, task: Task, phantom: bool) -> Layout:
    """The view's layout. A real release's known defects are passed to it; a phantom has none."""
    view = dataset.views[task]
    defects = {} if phantom else view.known_defects
    return cast(Layout, build(view.layout, classes=view.classes or (), **defects))


def open_dataset(
    dataset: DatasetConfig, task: Task, root: Path, *, phantom: bool, fold: int | None = None
) -> Dataset:
    """Index a dataset's view at its folder. Raises as `usbench.datasets.dataset.open_view`."""
    layout = build_layout(dataset, task, phantom)
    view = dataset.views[task]
    opened = open_view(dataset.name, task, view, layout, root, dataset.split, fold)
    return replace(opened, citation=dataset.citation, licence=dataset.licence, phantom=phantom)


# ---- phantoms


def require_phantom(dataset: DatasetConfig) -> None:
    """Raise ConfigError for a dataset whose YAML describes no phantom."""
    if dataset.phantom:
        return
    if not dataset.released:
        raise ConfigError(
            f"dataset={dataset.name}: expected a release or a phantom; set released: true in its "
            "YAML, or describe a phantom"
        )
    raise ConfigError(
        f"dataset={dataset.name}: its YAML has no phantom; name its images with data= or "
        "dataset.root=, or describe a phantom (conf/README.md shows one)"
    )


def phantom_spec(dataset: DatasetConfig) -> phantom.PhantomSpec:
    """The dataset's phantom, from its YAML.

    Raises:
        ConfigError: the YAML describes no phantom, or figures that aren't whole.
    """
    require_phantom(dataset)
    node = dataset.phantom
    required = {"scene", "size", "counts", "seed"}
    known = {item.name for item in fields(phantom.PhantomSpec)}
    for key in sorted((node.keys() ^ required) - (known - required)):
        found = "an unknown" if key in node else "no"
        raise ConfigError(
            f"dataset.phantom: expected {', '.join(sorted(required))}, and perhaps "
            f"{', '.join(sorted(known - required))}; got {found} key {key!r}"
        )
    node = {"per_group": phantom.PhantomSpec.per_group, **node}
    figures = [node["seed"], node["per_group"], *node["size"], *node["counts"].values()]
    if not all(isinstance(figure, int) for figure in figures):
        raise ConfigError(
            "dataset.phantom: expected whole numbers for seed, per_group, size and counts, "
            f"got {figures}"
        )
    return phantom.PhantomSpec(**{**node, "size": tuple(node["size"])})


def phantom_fingerprint(dataset: DatasetConfig, task: Task, fold: int | None) -> str:
    """sha256 of the generator's version, its parameters and the view that is written."""
    facts = [
        phantom.VERSION,
        asdict(phantom_spec(dataset)),
        dataset.name,
        task,
        fold,
        stated_fields(dataset.split),
    ]
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


def ensure_phantom(dataset: DatasetConfig, task: Task, runs: Path) -> Path:
    """The phantom's folder below runs, written whole or not at all in the release's own format."""
    # One dataset may have several layouts.
    parameters = phantom_fingerprint(dataset, task, None) + canonical_json(
        to_plain(dataset.views[task].layout)
    )
    name = f"{dataset.name}-{task}-{hashlib.sha256(parameters.encode()).hexdigest()[:12]}"
    folder = runs / "phantoms" / name
    if folder.is_dir():
        return folder
    part = folder.with_name(f".{name}.{secrets.token_hex(4)}")
    write_phantom(dataset, task, part)
    try:
        part.replace(folder)
    except OSError:
        shutil.rmtree(part)
        if not folder.is_dir():
            raise
        # another process was first: both wrote the same
    return folder


def write_phantom(dataset: DatasetConfig, task: Task, folder: Path) -> None:
    """Write the dataset's phantom in its release's format into a new folder.

    Raises:
        RunError: the folder can't be written.
    """
    spec = phantom_spec(dataset)
    if not dataset.views[task].classes:
        dataset = dataset.with_classes(task, phantom.scene_classes(spec, task))
    layout = build_layout(dataset, task, phantom=True)
    images = sum(spec.counts.values())
    say(f"writing a phantom of {dataset.name} ({task}, {images} images) in its release's format")
    try:
        folder.mkdir(parents=True)
        classes = dataset.views[task].classes
        samples = phantom.draw_samples(spec, layout.written_as or task, classes)
        layout.write(folder, track(samples, "phantom", images))
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise RunError(
                f"{folder}: can't be written ({error.strerror or error}); check the folders above "
                "and free space"
            ) from error
        raise
