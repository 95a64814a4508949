"""BUS-UCLM, written by hand. Evidence: noeliavallez/BUS-UCLM-Dataset@d9aa230c (authors)
prepare_partitions.py, extract_coco_annotations.py; CAMMA-public/UltraSam@458ec794
datasets/datasets/BUS_UCLM.py; constantinpape/torch-em@65f1278a
torch_em/data/datasets/medical/bus_uclm.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

COLOURS = {".": (0, 0, 0), "b": (0, 255, 0), "m": (255, 0, 0), "?": (0, 128, 0)}
MASKS = {
    "normal": draw(["........"] * 6, COLOURS),
    "benign": draw(["........", *["..bbbbb."] * 4, "........"], COLOURS),
    "malignant": draw([*["mmmmm..."] * 4, "........", ".......m"], COLOURS),  # and a speck
}
TESTED = ["ANFO", "COPE", "CRCI", "ELCO", "FLKA"]
PATIENTS = [*TESTED, "ALWI", "CHVI", "HESN", "MENE"]
NAMES = [f"{patient}_{n:03d}" for patient in PATIENTS for n in range(2)]
FOLDER = "BUS-UCLM"


def kind(name: str) -> str:
    """CHVI has both kinds of lesion, as some patients do."""
    if name.startswith("CHVI"):
        return "benign" if name.endswith("0") else "malignant"
    return "normal" if name.endswith("1") else "benign" if name < "COPE" else "malignant"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for n, name in enumerate(NAMES):
        save(tmp_path / FOLDER / f"images/{name}.png", speckle(6, 8, n), "RGB")
        mask = MASKS[kind(name)]
        known_defect = name.startswith("HESN")
        save(tmp_path / FOLDER / f"masks/{name}.png", mask[:, :5] if known_defect else mask)
    rows = [f"{name}.png;856x606;{kind(name).capitalize()};No;Yes;No" for name in NAMES]
    save_text(
        tmp_path / FOLDER / "INFO.csv", "Image;Resolution;Label;Doppler;Marks;Combined", *rows
    )
    save(tmp_path / FOLDER / "masks/preprocessed/ALWI_000.tif", speckle(6, 8))  # torch-em's
    return tmp_path


def test_masks_are_as_pillow_reads_them(root, compose):
    dataset = open_release(compose, "busuclm", "segment", root)
    assert dataset.classes == ("benign", "malignant")
    seen = []
    for split in SPLITS:
        for sample, record in zip(getattr(dataset, split), dataset.records[split], strict=True):
            with Image.open(root / str(record.label)) as mask:
                assert mask.mode == "RGB"
                red, green, _ = np.moveaxis(np.array(mask), -1, 0)
            assert np.array_equal(sample.target.planes, [green == 255, red == 255])
            assert sample.target.planes.any() == (kind(sample.id.replace("/", "_")) != "normal")
            assert sample.mm_per_px is None
            seen.append(sample.id.replace("/", "_"))
    assert sorted(seen) == sorted(name for name in NAMES if not name.startswith("HESN"))


def test_boxes_are_those_of_components_of_20_px(root, compose):
    dataset = open_release(compose, "busuclm", "detect", root)
    targets = {sample.id: sample.target for sample in dataset.test}
    assert targets["ANFO/000"].xyxy.tolist() == [[2, 1, 7, 5]]
    assert targets["ANFO/000"].labels.tolist() == [0]
    assert targets["FLKA/000"].xyxy.tolist() == [[0, 0, 5, 4]]  # without the speck
    assert targets["FLKA/000"].labels.tolist() == [1]
    assert len(targets["FLKA/001"].labels) == 0


def test_the_authors_patients_test_and_the_others_are_whole(root, compose):
    records = open_release(compose, "busuclm", "segment", root).records
    groups = {split: {record.group for record in records[split]} for split in SPLITS}
    assert groups["test"] == set(TESTED)
    assert groups["train"] | groups["val"] == {"ALWI", "CHVI", "MENE"}
    assert len(groups["val"]) == 1 and not groups["train"] & groups["val"]


def test_a_release_without_a_tested_patient_is_refused(root, compose):
    for name in ("images/COPE_000", "images/COPE_001", "masks/COPE_000", "masks/COPE_001"):
        (root / FOLDER / f"{name}.png").unlink()
    with pytest.raises(DataError, match=r"busuclm: expected the groups .* found no 'COPE'"):
        open_release(compose, "busuclm", "segment", root)


BAD = {
    "an image without a mask": (
        lambda root: (root / FOLDER / "masks/ALWI_000.png").unlink(),
        r"ALWI_000.png: expected its label BUS-UCLM/masks/ALWI_000.png, found none",
    ),
    "a mask without an image": (
        lambda root: (root / FOLDER / "images/ALWI_000.png").unlink(),
        r"masks/ALWI_000.png: expected an image for this label, found none",
    ),
    "the archive's outer folder": (
        lambda root: (root / FOLDER).rename(
            (root / "BUS-UCLM Breast ultrasound lesion segmentation dataset").joinpath(FOLDER)
        ),
        r"BUS-UCLM: this is still in the archive's outer folder \(move it up one\); usbench reads",
    ),
    "a copy that is sorted by class": (
        lambda root: save(root / "data/benign/images/alwi_000.png", speckle(6, 8)),
        r"data/benign: this is a copy that is sorted by class; usbench reads the tree of Mendeley",
    ),
    "a copy as tables": (
        lambda root: save_text(root / "data/train-00000.parquet", "PAR1"),
        r"train-00000.parquet: this is a copy as tables \(Hugging Face\); usbench reads the tree",
    ),
    "no release": (
        lambda root: (root / FOLDER).rename(root / "other"),
        r"BUS-UCLM/images: expected a folder with BUS-UCLM/images/.*, got no such folder",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_trees_are_refused(root, compose, what):
    damage, message = BAD[what]
    (root / "BUS-UCLM Breast ultrasound lesion segmentation dataset").mkdir()
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "busuclm", "segment", root)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (MASKS["benign"][:5], r"expected the size of its image, 6 × 8, got 5 × 8"),
        (
            draw(["........", *["..???bb."] * 4, "........"], COLOURS),
            r"expected a colour mask of 3 classes, got 12 pixels of no class, most of colour "
            r"\(0, 128, 0\) in 12 pixels",
        ),
        (
            speckle(6, 8),
            r"expected a colour mask of 3 classes, got a file of mode L",
        ),  # white masks
    ],
)
def test_bad_masks_are_refused(root, compose, mask, message):
    save(root / FOLDER / "masks/COPE_000.png", mask)
    dataset = open_release(compose, "busuclm", "segment", root)
    with pytest.raises(DataError, match=f"COPE_000.png: {message}"):
        list(dataset.test)
