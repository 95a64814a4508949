"""From a composed configuration to a run and its samples, in this process.

Where data is looked for; what a wrong command or a damaged release gets (one line that names the
culprit, and the right exit code); and what decides a run id.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.errors import HydraException
from PIL import Image

import usbench.runner.resolve
from usbench.datasets import source
from usbench.datasets.config import DatasetConfig
from usbench.datasets.phantoms import phantom
from usbench.errors import ConfigError, DataError, RunError, UsbenchError
from usbench.io.config import conf_dir
from usbench.runner import machine
from usbench.runner.config import RunConfig, read_config, write_config
from usbench.runner.resolve import resolve_config, run_ids
from usbench.types import SPLITS

SIZE, COUNTS = (64, 96), {"train": 8, "val": 4, "test": 4}
SMALL = (
    "dataset.phantom.size=[64,96]",
    "dataset.phantom.counts.train=8",
    "dataset.phantom.counts.test=4",
)
QUIET = ("device=cpu", "threads=1", "precision=fp32")
UNLISTED = (
    "dataset.split.near_duplicates=[]",
    "dataset.leakage=null",
)  # usgra's name images that a small release lacks
MASKS, BOXES = "SegmentationDataset", "Final dataset for object detection"


@pytest.fixture(scope="module")
def pristine(compose, tmp_path_factory) -> Path:
    """Small releases of spinal (both archives) and usgra, whole."""
    data = tmp_path_factory.mktemp("data")
    for name in ("spinal", "usgra"):
        node = compose(f"dataset={name}")["dataset"]
        counts = {split: COUNTS[split] for split in node["phantom"]["counts"]}
        dataset = DatasetConfig.from_mapping(node)
        spec = replace(source.phantom_spec(dataset), size=SIZE, counts=counts)
        for task in node["views"] if name == "spinal" else ("segment",):
            layout = source.build_layout(dataset, task, phantom=True)
            layout.write(data / name, phantom.draw_samples(spec, task))
    return data


@pytest.fixture
def data(pristine, tmp_path) -> Path:
    """The same, where a test may damage them; not where usbench looks by itself."""
    return Path(shutil.copytree(pristine, tmp_path / "releases"))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch) -> Path:
    """Every test works in an empty folder, nothing configured by the environment."""
    monkeypatch.delenv("USBENCH_DATA", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def resolve(compose) -> Callable[..., RunConfig]:
    """`resolve(*overrides, name=value)` → the configuration.

    The small usgra comes without the lists of the real release's images.
    """

    def resolved(*overrides: str, **settings: str) -> RunConfig:
        unlisted = UNLISTED if "dataset=usgra" in overrides else ()
        return resolve_config({**compose(*QUIET, *unlisted, *overrides), **settings})

    return resolved


def read_all(config: RunConfig) -> int:
    """Read every sample of the run's view, as training and scoring do; how many there are."""
    opened = config.open_dataset()
    return sum(1 for split in SPLITS for _ in opened.samples(split))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# ---- a damaged release


def rewrite(path: Path, pixels: Any) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def cut(path: Path, left: int) -> Path:
    path.write_bytes(path.read_bytes()[:left])
    return path


def gone(path: Path) -> Path:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return path


def xml(path: Path, old: str, new: str) -> Path:
    """Change the first match of a regular expression in a file."""
    text = path.read_text()
    assert re.search(old, text), "nothing to change"
    path.write_text(re.sub(old, new, text, count=1))
    return path


def corners(path: Path, x1: float, y1: float, x2: float, y2: float) -> Path:
    box = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return xml(path, r"(?s)<bndbox>.*?</bndbox>", f"<bndbox>{box}</bndbox>")


def boxed(root: Path) -> Path:
    """An XML of the training split that has a box."""
    return next(
        path
        for path in sorted((root / BOXES / "train").glob("*.xml"))
        if "<object>" in path.read_text()
    )


def emptied(folder: Path) -> Path:
    for path in folder.iterdir():
        path.unlink()
    return folder


def twin(path: Path) -> Path:
    """A second file of one id."""
    shutil.copy(path, path.with_suffix(".PNG"))
    return path


def foreign(path: Path, pixels: int) -> Path:
    with Image.open(path) as mask:
        colours = np.array(mask)
    colours.reshape(-1, 3)[:pixels] = (200, 10, 90)
    return rewrite(path, colours)


def valued(path: Path, value: int) -> Path:
    index = np.zeros(SIZE, np.uint8)
    index[5, 7] = value
    return rewrite(path, index)


GREY, DEEP = np.full(SIZE, 9, np.uint8), np.full(SIZE, 900, np.uint16)
SMALLER, COLOURED = np.zeros((32, 48), np.uint8), np.zeros((32, 48, 3), np.uint8)
USGRA_IMAGE, USGRA_MASK = "dataset/images/0002.png", "dataset/masks/0002.png"
SPINAL_IMAGE = f"{MASKS}/train_images/scaled-A0001_frame2.png"
SPINAL_MASK = f"{MASKS}/train_masks/scaled-A0001_frame2.png"
SPINAL_XML = f"{BOXES}/train/scaled-A0001_frame2.xml"


def lone_labels(root: Path) -> Path:
    """Two XML lose their image; one is a known defect."""
    labels = sorted((root / BOXES / "train").glob("*.xml"))[:2]
    for path in labels:
        path.with_suffix(".png").unlink()
    return labels[0]


def no_test_images(root: Path) -> Path:
    for kind in ("images", "masks"):
        emptied(root / "dataset" / "test" / kind)
    return root


# what is done to the release (returns what is to be named), what is said; by dataset and model
USGRA_SEGMENT = {
    "an image lost its mask": (lambda r: (gone(r / USGRA_MASK), r / USGRA_IMAGE)[1], "label.*none"),
    "a folder is missing": (lambda r: gone(r / "dataset/test/masks"), "no such folder"),
    "one name twice": (lambda r: twin(r / USGRA_IMAGE), "'0002' twice"),
    "an empty test split": (no_test_images, "test split"),
    "half an image": (lambda r: cut(r / USGRA_IMAGE, 2000), "cut off after 2000 bytes"),
    "a 16-bit image": (lambda r: rewrite(r / USGRA_IMAGE, DEEP), "8 bits"),
    "a mask of another size": (
        lambda r: rewrite(r / USGRA_MASK, SMALLER),
        r"\(64, 96\).*\(32, 48\)",
    ),
    "a value that is no class": (lambda r: valued(r / USGRA_MASK, 3), "value 3 in 1 pixels"),
    "colours for indices": (
        lambda r: rewrite(r / USGRA_MASK, np.zeros((*SIZE, 3), np.uint8)),
        "mode RGB",
    ),
}
USGRA_DETECT = {
    "a mask lost its image": (lambda r: (gone(r / USGRA_IMAGE), r / USGRA_MASK)[1], "image.*none"),
    "half a mask": (lambda r: cut(r / USGRA_MASK, 500), "cut off"),
    "a 16-bit mask": (lambda r: rewrite(r / USGRA_MASK, DEEP), "8 bits"),
    "boxes of a mask of another size": (
        lambda r: rewrite(r / USGRA_MASK, SMALLER),
        r"\(64, 96\).*\(32, 48\)",
    ),
    "a mask of 255": (lambda r: valued(r / USGRA_MASK, 255), "value 255"),
}
SPINAL_SEGMENT = {
    "a mask is missing": (lambda r: (gone(r / SPINAL_MASK), r / SPINAL_IMAGE)[1], "label.*none"),
    "an image is missing": (lambda r: (gone(r / SPINAL_IMAGE), r / SPINAL_MASK)[1], "image.*none"),
    "one mask twice": (lambda r: twin(r / SPINAL_MASK), "'scaled-A0001_frame2' twice"),
    "an image without its last bytes": (lambda r: cut(r / SPINAL_IMAGE, -12), "cut off"),
    "an empty file": (lambda r: cut(r / SPINAL_MASK, 0), "expected a colour mask.*got"),
    "a mask of another size": (
        lambda r: rewrite(r / SPINAL_MASK, COLOURED),
        r"\(64, 96\).*\(32, 48\)",
    ),
    "grey for colours": (lambda r: rewrite(r / SPINAL_MASK, GREY), "mode L"),
    "a foreign colour": (lambda r: foreign(r / SPINAL_MASK, 21), r"21 pixels.*\(200, 10, 90\)"),
    "one stray pixel too many": (lambda r: foreign(r / SPINAL_MASK, 14), "14 pixels.* 13"),
}
SPINAL_DETECT = {
    "an XML is missing": (lambda r: gone(r / SPINAL_XML).with_suffix(".png"), "label.*none"),
    "two XML without image": (lone_labels, "2 such labels; 1 "),
    "an archive is missing": (lambda r: gone(r / BOXES) / "train", "no such folder"),
    "an empty val split": (lambda r: emptied(r / BOXES / "val").parent.parent, "val split"),
    "a box outside": (lambda r: corners(boxed(r), 90, 10, 97, 20), "96×64.*90, 10, 97, 20"),
    "a box before the image": (lambda r: corners(boxed(r), -1, 10, 20, 20), "inside"),
    "a box of no width": (lambda r: corners(boxed(r), 20, 10, 20, 20), "area"),
    "a box upside down": (lambda r: corners(boxed(r), 10, 20, 20, 10), "area"),
    "no number": (lambda r: corners(boxed(r), "nan", 20, 20, 30), "'nan'"),
    "an unknown class": (lambda r: xml(boxed(r), "hematoma", "tumour"), "'tumour'"),
    "an XML cut off": (lambda r: cut(boxed(r), 300), "Pascal VOC XML, got.*cut off"),
    "an XML of another size": (lambda r: xml(boxed(r), "<width>96<", "<width>690<"), "690"),
}
DAMAGE = {
    f"{dataset} {model}: {name}": (dataset, model, *case)
    for dataset, model, table in [
        ("usgra", "unet", USGRA_SEGMENT),
        ("usgra", "yolov8", USGRA_DETECT),
        ("spinal", "unet", SPINAL_SEGMENT),
        ("spinal", "yolov8", SPINAL_DETECT),
    ]
    for name, case in table.items()
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_release_is_one_line_that_names_the_file(data, resolve, empty_folder, name):
    dataset, model, damage, says = DAMAGE[name]
    named = damage(data / dataset)
    before = tree(data)
    with pytest.raises(DataError) as caught:
        read_all(resolve(f"dataset={dataset}", f"model={model}", data=str(data)))
    message = str(caught.value)
    assert str(named) in message and re.search(says, message), message
    assert "\n" not in message and caught.value.exit_code == 1
    assert tree(data) == before and not (empty_folder / "results").exists()


ALLOWED = {
    "whole, masks": ("spinal", "unet", 16, lambda r: None),
    "whole, boxes": ("spinal", "yolov8", 16, lambda r: None),
    "whole, index masks": ("usgra", "unet", 12, lambda r: None),
    "whole, boxes of index masks": ("usgra", "yolov8", 12, lambda r: None),
    "the known strays": ("spinal", "unet", 16, lambda r: foreign(r / SPINAL_MASK, 13)),
    "the known lone XML": (
        "spinal",
        "yolov8",
        15,
        lambda r: gone((r / SPINAL_XML).with_suffix(".png")),
    ),
    "no object": ("spinal", "yolov8", 16, lambda r: xml(boxed(r), r"(?s)<object>.*</object>", "")),
    "a box of the whole image": ("spinal", "yolov8", 16, lambda r: corners(boxed(r), 0, 0, 96, 64)),
    "a file of another kind": (
        "usgra",
        "unet",
        12,
        lambda r: (r / "dataset/images/Thumbs.db").write_bytes(b"x"),
    ),
    "only the other archive": ("spinal", "unet", 16, lambda r: gone(r / BOXES)),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_release_may_have(data, resolve, name):
    dataset, model, count, change = ALLOWED[name]
    change(data / dataset)
    assert read_all(resolve(f"dataset={dataset}", f"model={model}", data=str(data))) == count


# ---- a wrong command


def cuda() -> bool:
    return bool(machine.cuda_capabilities())


@pytest.mark.parametrize(
    ("overrides", "error", "says"),
    [
        (("model=nonet",), HydraException, "nonet"),
        (("dataset=nodata",), HydraException, "nodata"),
        (("metric=nometric",), HydraException, "nometric"),
        (("modle=unet",), HydraException, "modle"),
        (("dataset.phantom.cuonts=3",), HydraException, "cuonts"),
        (("model.recipes.quick.epoch=3",), HydraException, "epoch"),
        (
            ("recipe=long",),
            ConfigError,
            "recipe=long: expected one of tiny, quick, standard for unet",
        ),
        (("recipe=kumar2025",), ConfigError, "recipe=kumar2025: .* for unet"),
        (("recipe=3",), ConfigError, "recipe=3"),
        (
            ("~dataset.views.detect", "model=yolov8"),
            ConfigError,
            "dataset=phantom model=yolov8: .* detect, .* segment",
        ),
        (("model.task=sing",), ConfigError, "'sing'"),
        (("model=yolov8", "metric=segment"), ConfigError, "metric=detect"),
        (("fold=5",), ConfigError, "fold=5: expected 0 to 4"),
        (("fold=-1",), ConfigError, "fold=-1"),
        (("fold=first",), ConfigError, "fold=first"),
        (("fold=1.5",), ConfigError, "fold=1.5"),
        (("fold=true",), ConfigError, "fold=True"),
        (("dataset=spinal", "fold=0"), ConfigError, "fold=0: spinal has a fixed split"),
        (("seed=-1",), ConfigError, "seed=-1"),
        (("seed=one",), ConfigError, "seed=one"),
        (("seed=0.5",), ConfigError, "seed=0.5"),
        (("threads=0",), ConfigError, "threads=0"),
        (("precision=fp8",), ConfigError, "precision=fp8"),
        (("precision=16",), ConfigError, "precision=16"),
        (("device=gpu",), ConfigError, "device=gpu"),
        (("device=0",), ConfigError, "device=0"),
        (("source=fake",), ConfigError, "source=fake"),
        (("source=real",), ConfigError, "source=real: phantom has no release"),
        (("tracking=wandb",), ConfigError, "tracking=wandb"),
        (("trust=no",), ConfigError, "trust=no"),
        (("overwrite=no",), ConfigError, "overwrite=no"),
        (("debug=no",), ConfigError, "debug=no"),
        (("dataset.phantom.scene=moon",), ConfigError, "'moon'"),
        (("dataset.phantom.counts.train=-3",), ConfigError, "counts"),
        (("dataset.phantom.counts.train=many",), ConfigError, "many"),
        (("dataset.phantom.seed=x",), ConfigError, "seed"),
        (("dataset.phantom.size=[8,8]",), ConfigError, "size"),
        (
            ("dataset.views.segment.layout._target_=usbench.nowhere.Nothing",),
            ConfigError,
            "usbench.nowhere",
        ),
        (("+dataset.views.segment.layout.colour=red",), ConfigError, "colour"),
        (("device=cuda:64",), RunError, "device=cuda:64: .*device=cpu"),
        pytest.param(
            ("device=cuda",),
            RunError,
            "device=cuda: .*device=cpu",
            marks=pytest.mark.skipif(cuda(), reason="has CUDA"),
        ),
        (("dataset.phantom.counts.train=0",), DataError, "train split"),
        (("+dataset.phantom.counts.tset=3",), ConfigError, "tset"),
        (("dataset=usgra", "+dataset.phantom.counts.val=3"), DataError, "val"),
    ],
)
def test_a_wrong_command_is_one_line_and_writes_nothing(
    compose, empty_folder, overrides, error, says
):
    with pytest.raises(error) as caught:
        resolve_config(compose(*SMALL, "device=cpu", *overrides))
    assert re.search(says, " ".join(str(caught.value).split()))
    if isinstance(caught.value, UsbenchError):  # Hydra's own lines are joined by the command
        assert "\n" not in str(caught.value) and caught.value.exit_code == (
            2 if error is ConfigError else 1
        )
        assert error is DataError or not tree(empty_folder)  # said before a phantom is drawn
    assert not (empty_folder / "results").exists() and not (empty_folder / "data").exists()


@pytest.mark.parametrize("name", ["runs", "results", "data"])
def test_a_folder_may_be_called_by_a_number(data, resolve, empty_folder, name):
    shutil.copytree(data, empty_folder / "2024")
    config = resolve(
        "dataset=spinal", *(("data=2024",) if name == "data" else (f"data={data}", f"{name}=2024"))
    )
    place = {"data": config.root, "runs": config.runs, "results": config.results}[name]
    assert place.is_relative_to(empty_folder / "2024")


@pytest.mark.parametrize("stage", ["phantom", "real"])
def test_a_runs_folder_that_cannot_be_made_is_one_line(data, resolve, empty_folder, stage):
    (empty_folder / "runs").write_text("a file stands here")
    with pytest.raises(RunError) as caught:
        resolve("dataset=spinal", *SMALL, **({"data": str(data)} if stage == "real" else {}))
    assert "runs" in str(caught.value) and "\n" not in str(caught.value)
    assert (empty_folder / "runs").read_text() == "a file stands here"


# ---- where data is looked for


WRITTEN = "written below runs"


@pytest.mark.parametrize(
    ("overrides", "environment", "root"),
    [
        # nothing configured
        ("dataset=spinal", None, WRITTEN),
        ("dataset=usgra", None, "here/data/usgra"),
        ("dataset=spinal source=auto", None, WRITTEN),
        # configured and there
        ("dataset=spinal data={up}/releases", None, "releases/spinal"),
        ("dataset=spinal data=../releases", None, "releases/spinal"),
        ("dataset=spinal", "{up}/releases", "releases/spinal"),
        ("dataset=spinal dataset.root={up}/releases/spinal", None, "releases/spinal"),
        ("dataset=spinal data={up}/releases", "{up}/nowhere", "releases/spinal"),
        (
            "dataset=spinal dataset.root={up}/releases/spinal data={up}/nowhere",
            "{up}/nowhere",
            "releases/spinal",
        ),
        ("dataset=spinal source=real data={up}/releases", None, "releases/spinal"),
        ("dataset=usgra source=real", None, "here/data/usgra"),
        # configured and not there
        ("dataset=spinal data={up}/nowhere", None, DataError("nowhere/spinal")),
        ("dataset=spinal", "{up}/nowhere", DataError("nowhere/spinal")),
        ("dataset=spinal", "../nowhere", DataError("nowhere/spinal")),
        ("dataset=spinal dataset.root={up}/nowhere", None, DataError("nowhere")),
        ("dataset=spinal dataset.root={up}/nowhere data={up}/releases", None, DataError("nowhere")),
        ("dataset=spinal data={up}/nowhere", "{up}/releases", DataError("nowhere/spinal")),
        ("dataset=spinal dataset.root={up}/afile", None, DataError("afile")),
        ("dataset=spinal source=real", None, DataError("data/spinal")),
        # forced
        ("dataset=usgra source=phantom", None, WRITTEN),
        ("dataset=spinal source=phantom data={up}/releases", None, WRITTEN),
        ("dataset=spinal source=phantom data={up}/nowhere", None, WRITTEN),
        ("dataset=spinal source=phantom", "{up}/nowhere", WRITTEN),
        # has no release
        ("dataset=phantom", None, WRITTEN),
        ("dataset=phantom data={up}/nowhere", None, WRITTEN),
        ("dataset=phantom source=real", None, ConfigError("source=real")),
    ],
)
def test_where_data_is_looked_for(
    data, resolve, empty_folder, monkeypatch, overrides, environment, root
):
    """./data has usgra only; ../releases has spinal and usgra."""
    up = empty_folder.parent
    shutil.copytree(data / "usgra", empty_folder / "data" / "usgra")
    (up / "afile").write_text("")
    if environment:
        monkeypatch.setenv("USBENCH_DATA", environment.format(up=up))
    before = tree(up)
    command = (*overrides.format(up=up).split(), *SMALL)
    if isinstance(root, UsbenchError):
        with pytest.raises(type(root)) as caught:
            resolve(*command)
        assert str(root) in str(caught.value) and "\n" not in str(caught.value)
        if isinstance(root, DataError):
            assert "github.com/avishakumar21" in str(caught.value)  # how to get it
        assert tree(up) == before
        return
    config = resolve(*command)
    assert config.phantom == (root == WRITTEN) and read_all(config) > 0
    if root == WRITTEN:
        assert config.root.parent == empty_folder / "runs" / "phantoms"
    else:
        assert config.root.resolve() == up / root
    changed = tree(up).items() - before.items()
    assert all(path.startswith("here/runs/") for path, _ in changed)  # never into data
    assert before.items() <= tree(up).items()


def test_a_dataset_of_one_s_own_names_its_folder_in_its_yaml(data, compose, empty_folder):
    """Which `dataset.root=` still replaces, and `data=` doesn't."""
    own, up = empty_folder / "conf" / "dataset", empty_folder.parent
    own.mkdir(parents=True)
    plain = (conf_dir() / "dataset" / "usgra.yaml").read_text("utf-8")
    (own / "mine.yaml").write_text(f"{plain}\nroot: {data / 'usgra'}\n", "utf-8")
    overrides = (
        *QUIET,
        *UNLISTED,
        f"hydra.searchpath=[file://{own.parent}]",
        "dataset=mine",
        *SMALL,
    )
    roots = {
        given: resolve_config(compose(*overrides, given)).root
        for given in (f"data={up}/nowhere", "seed=0")
    }
    assert set(roots.values()) == {data / "usgra"}
    with pytest.raises(DataError, match="nowhere"):
        resolve_config(compose(*overrides, f"dataset.root={up}/nowhere"))


def test_a_phantom_has_nothing_of_the_real_images(resolve):
    """Leakage, near-duplicates and published figures hold for the release only."""
    config = resolve("dataset=usgra", *SMALL)
    assert config.phantom and config.dataset.leakage is None
    assert "published" not in config.to_mapping()["dataset"]
    assert not config.dataset.split.near_duplicates


def test_a_phantom_is_written_once_and_whole(resolve, empty_folder):
    first = resolve("dataset=spinal", *SMALL)
    before = {path: path.stat().st_mtime_ns for path in empty_folder.rglob("*")}
    assert resolve("dataset=spinal", *SMALL) == first
    assert {path: path.stat().st_mtime_ns for path in empty_folder.rglob("*")} == before
    assert resolve("dataset=spinal", *SMALL, "dataset.phantom.seed=1").root != first.root


def test_a_phantom_that_cannot_be_written_leaves_nothing(resolve, empty_folder):
    with pytest.raises(DataError):
        resolve("dataset=usgra", *SMALL, "+dataset.phantom.counts.val=3")
    assert not tree(empty_folder) and not list((empty_folder / "runs").rglob("*usgra*"))


# ---- recipes


@pytest.mark.parametrize(
    ("overrides", "recipe"),
    [
        ("dataset=spinal model=yolov8", "quick"),
        ("dataset=spinal model=yolov8 real", "kumar2025"),
        ("dataset=spinal model=yolov8 real recipe=standard", "standard"),
        ("dataset=spinal model=yolov8 real recipe=quick", "quick"),
        ("dataset=spinal model=yolov8 real source=phantom", "quick"),
        ("dataset=spinal model=yolov8 recipe=kumar2025", "kumar2025"),
        ("dataset=spinal model=unet real", "standard"),
        ("dataset=usgra model=yolov8 real", "standard"),
        ("dataset=usgra model=deeplabv3 real", "standard"),
        ("dataset=phantom model=unet", "quick"),
        ("dataset=phantom model=unet recipe=tiny", "tiny"),
    ],
)
def test_the_recipe(pristine, resolve, overrides, recipe):
    settings = {"data": str(pristine)} if "real" in overrides.split() else {}
    config = resolve(*(word for word in overrides.split() if word != "real"), *SMALL, **settings)
    assert config.recipe == recipe
    assert {**config.model.recipe, **config.model.build}.keys() >= {
        "epochs",
        "batch",
        "weights",
    }


@pytest.mark.parametrize(
    ("recipes", "chosen"),
    [(("quick",), "quick"), (("mine",), "mine"), (("tiny", "quick"), None)],
)
def test_auto_takes_an_only_recipe_also_on_real_images(compose, pristine, recipes, chosen):
    composed = compose(*QUIET, *SMALL, "dataset=spinal", "model=unet")
    model = dict(composed["model"])
    model["recipes"] = dict.fromkeys(recipes, model["recipes"]["tiny"])
    composed |= {"model": model, "data": str(pristine)}
    if chosen:
        assert resolve_config(composed).recipe == chosen
        return
    with pytest.raises(ConfigError, match="recipe=auto, here standard: expected one of tiny, qu"):
        resolve_config(composed)


def test_the_papers_recipe_of_yolov8(pristine, resolve):
    """The paper: size m, 80 epochs, batch 48, 320 px, lr .000422."""
    model = resolve("dataset=spinal", "model=yolov8", data=str(pristine)).model
    assert model.build["size"] == "m"
    assert {key: model.recipe[key] for key in ("epochs", "batch", "imgsz", "lr0", "optimizer")} == {
        "epochs": 80,
        "batch": 48,
        "imgsz": 320,
        "lr0": 0.000422,
        "optimizer": "AdamW",
    }


def test_a_build_s_own_value_stands_before_the_recipe_s(resolve):
    assert resolve("model=unet", *SMALL).model.build["encoder"] == "resnet18"
    assert (
        resolve("model=unet", "model.build.encoder=resnet34", *SMALL).model.build["encoder"]
        == "resnet34"
    )


# ---- what may be shown to others


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "images"),
        (("dataset.redistribute=none",), "none"),
        (("dataset.redistribute=labels",), "labels"),
        (("dataset.redistribute=null",), "none"),
        (("~dataset.redistribute",), "none"),
    ],
)
def test_what_may_be_redistributed(resolve, words, expected):
    assert resolve("dataset=usgra", "model=unet", *SMALL, *words).dataset.redistribute == expected


@pytest.mark.parametrize(
    ("word", "got"),
    [
        ("dataset.redistribute=private", "got 'private'"),
        ("dataset.redistribute=closed", "got 'closed'"),
        ("dataset.redistribute=Open", "got 'Open'"),
        ("dataset.redistribute=open", "got 'open'"),
        ("dataset.redistribute=None", "got 'None'; did you mean 'none'?"),
        ("dataset.redistribute=Images", "got 'Images'; did you mean 'images'?"),
        ("dataset.redistribute=label", "got 'label'; did you mean 'labels'?"),
        ("dataset.redistribute=no", "got 'no'"),
        ("dataset.redistribute=false", "got False"),  # what `no` is in a YAML
        ("dataset.redistribute=true", "got True"),
        ("dataset.redistribute=0", "got 0"),
        ("dataset.redistribute=''", "got ''"),
        ("dataset.redistribute=[images]", r"got \['images'\]"),
        ("+dataset.share=open", "unknown key 'share'; say redistribute"),
        ("+dataset.share=none", "unknown key 'share'; say redistribute"),
    ],
)
def test_any_other_word_is_refused_before_anything_is_done(resolve, empty_folder, word, got):
    with pytest.raises(ConfigError, match=got) as caught:
        resolve("dataset=usgra", "model=unet", *SMALL, word)
    assert str(caught.value).startswith("dataset=usgra: ") and not list(empty_folder.iterdir())


# ---- weights


@pytest.mark.parametrize(
    ("overrides", "fine"),
    [
        (("model=yolov8", "model.build.weights=w.pt"), False),
        (("model=yolov8", "model.build.weights=coco"), False),
        (("model=yolov8", "model.build.weights=w.pt", "trust=true"), True),
        (("model=yolov8", "model.build.weights=coco", "trust=true"), True),
        (("model=yolov8",), True),
        (("model=unet", "model.build.weights=w.pt"), True),
        (("model=unet", "model.build.weights=imagenet"), True),
    ],
)
def test_pickled_weights_are_read_only_when_trusted(resolve, empty_folder, overrides, fine):
    (empty_folder / "w.pt").write_bytes(b"weights")
    if fine:
        resolve(*overrides, *SMALL)
        return
    with pytest.raises(ConfigError, match=r"weights=(w\.pt|coco).*pickle.*trust=true"):
        resolve(*overrides, *SMALL)


def test_weights_count_by_their_bytes(resolve, empty_folder):
    """Not by their path: moved, they are the same; other bytes at the same path are others."""
    ids = []
    for name, content in (("a.pt", b"one"), ("b.pt", b"one"), ("a.pt", b"two")):
        (empty_folder / name).write_bytes(content)
        ids.append(resolve(f"model.build.weights={name}", *SMALL).run_id)
    ids += [resolve(*SMALL).run_id, resolve("model.build.weights=imagenet", *SMALL).run_id]
    assert ids[0] == ids[1] and len(set(ids)) == 4


# ---- the key


SEGMENT = ("dataset=usgra", "model=unet")
CHANGES = {
    "seed": ("seed=1",),
    "epochs": ("model.recipes.standard.epochs=3",),
    "learning rate": ("model.recipes.standard.lr=1e-4",),
    "recipe": ("recipe=quick",),
    "precision": ("precision=bf16",),
    "encoder": ("model.build.encoder=resnet34",),
    "model": ("model=deeplabv3",),
    "adapter's version": ("model.version=99",),
    "order of classes": ("dataset.views.segment.classes=[vessel,nerve]",),
    "exclusive": ("dataset.views.segment.exclusive=false",),
    "name of a class": ("dataset.views.segment.classes=[nerve,artery]",),
    "validation": ("dataset.split.val_share=0.4",),
    "groups": ("dataset.split.near_duplicates=[[train/0001,train/0002,train/0003]]",),
    "phantom": ("source=phantom", *SMALL),
    "model's name": ("model.name=mine",),
}
NO_CHANGES = {
    "nothing": (),
    "threads": ("threads=2",),
    "device": ("device=auto",),
    "results": ("results=elsewhere",),
    "runs": ("runs=elsewhere",),
    "protocols": ("metric.protocols=[pooled]",),
    "extra rule": ("+metric.extra.mine={_target_:builtins.abs,_partial_:true}",),
    "tracking": ("tracking=none",),
    "overwrite": ("overwrite=true",),
    "debug": ("debug=true",),
    "trust": ("trust=true",),
    "another recipe's value": ("model.recipes.quick.epochs=3",),
    "licence": ("dataset.licence=other",),
    "published": ("dataset.published=[]",),
    "phantom's counts": ("dataset.phantom.counts.train=5",),
}


def run_id_of(resolve: Callable[..., RunConfig], data: Path, *overrides: str) -> str:
    run_id: str = resolve(*SEGMENT, *overrides, data=str(data)).run_id
    return run_id


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_run_id(pristine, resolve, change):
    assert run_id_of(resolve, pristine, *CHANGES[change]) != run_id_of(resolve, pristine)


@pytest.mark.skipif(
    cuda(), reason="device=auto is another device there, so another precision may be the default"
)
@pytest.mark.parametrize("change", NO_CHANGES)
def test_what_does_not_change_the_run_id(pristine, resolve, change):
    assert run_id_of(resolve, pristine, *NO_CHANGES[change]) == run_id_of(resolve, pristine)


def test_a_run_id_is_twelve_digits_and_its_series_has_no_seed(pristine, resolve):
    first, second = (resolve(*SEGMENT, f"seed={n}", data=str(pristine)) for n in (0, 1))
    assert re.fullmatch(r"[0-9a-f]{12}", first.run_id)
    assert re.fullmatch(r"[0-9a-f]{12}", first.series)
    assert first.series == second.series and first.run_id != second.run_id


def test_a_byte_of_the_data_changes_the_run_id_and_its_place_does_not(data, resolve, empty_folder):
    before = run_id_of(resolve, data)
    moved = Path(shutil.copytree(data, empty_folder / "moved"))
    assert run_id_of(resolve, moved) == before
    assert run_id_of(resolve, moved, f"dataset.root={data / 'usgra'}") == before
    valued(moved / "usgra" / USGRA_MASK, 1)
    assert run_id_of(resolve, moved) != before


def test_the_device_is_not_in_the_run_id(resolve):
    config = resolve(*SMALL)
    assert run_ids(replace(config, device="cuda:1", threads=64, tracking="none")) == (
        config.series,
        config.run_id,
    )


def test_tasks_and_folds_have_run_ids_of_their_own(resolve):
    ids = [
        resolve(*SMALL, *overrides).run_id
        for overrides in ((), ("model=yolov8",), ("fold=0",), ("fold=1",))
    ]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    ("name", "value"), [("CACHE_VERSION", 99), ("SELECTION", {"segment": ("dice", 2)})]
)
def test_the_cache_and_the_selection_rule_are_in_the_run_id(resolve, monkeypatch, name, value):
    before = resolve(*SMALL)
    monkeypatch.setattr(usbench.runner.resolve, name, value)
    assert run_ids(before) != (before.series, before.run_id)


# ---- the configuration as a file


def test_a_configuration_survives_its_file(resolve, empty_folder):
    config = resolve("dataset=spinal", "model=yolov8", *SMALL)
    write_config(config.to_mapping(), empty_folder / "below" / "config.yaml")
    assert read_config(empty_folder / "below" / "config.yaml") == config
    assert [path.name for path in (empty_folder / "below").iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("content", ["", "[]", "a: b", "key: [", "\x00"])
def test_a_damaged_configuration_is_one_line(empty_folder, content):
    path = empty_folder / "config.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert "config.yaml: expected a run's configuration" in str(caught.value) and "\n" not in str(
        caught.value
    )


def test_the_phantom_s_fingerprint_is_its_generator_s(resolve, monkeypatch):
    config = resolve(*SMALL)
    assert config.fingerprint == resolve(*SMALL, "seed=3").fingerprint
    for overrides in (
        ("dataset.phantom.seed=5",),
        ("dataset.phantom.counts.train=12",),
        ("dataset.phantom.size=[64,128]",),
    ):
        assert resolve(*SMALL, *overrides).fingerprint != config.fingerprint
    monkeypatch.setattr(phantom, "VERSION", 99)
    assert resolve(*SMALL).fingerprint != config.fingerprint
    assert len(config.fingerprint) == hashlib.sha256().digest_size * 2
