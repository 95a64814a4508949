"""MMOTU's OTU_2d, written by hand. Evidence: cv516Buaa/MMOTU_DS2Net@893e5647
mmseg/datasets/mmotu.py (classes and palette) and @d53c3308 configs/_base_/datasets/mmotu.py (lists),
adamtupper/ultrabench@a795300b src/ultrabench/process/mmotu.py, CAMMA-public/UltraSam@458ec794
datasets/datasets/MMOTU_2d.py; the figshare tree: constantinpape/torch-em@5f96049b
torch_em/data/datasets/medical/mmotu.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import draw, index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

COLOURS = {
    "chocolate cyst": (64, 0, 0),
    "serous cystadenoma": (0, 64, 0),
    "teratoma": (0, 0, 64),
    "theca cell tumor": (64, 0, 64),
    "simple cyst": (64, 64, 0),
    "normal ovary": (64, 64, 64),
    "mucinous cystadenoma": (0, 128, 0),
    "high grade serous cystadenoma": (0, 0, 128),
}
CLASSES = tuple(COLOURS)
# Images of the release and their labels in its *_cls.txt.
TEST = {448: 0, 1229: 1, 264: 2, 359: 3, 1218: 4, 1269: 5, 700: 6, 1458: 7}
TRAIN = {658: 5, 384: 3, 367: 3, 730: 1, 1426: 7, 1194: 6, 232: 2, 997: 2, 1151: 3, 840: 2}
LABELS = {**TRAIN, **TEST}
TUMOUR = ["........", "..#####.", ".######.", ".######.", "..#####.", "........"]  # 22 px
SMOOTH = 264  # a teratoma whose mask has smooth edges
ODD = 1269  # its mask has another size


def drawn(number: int) -> np.ndarray:
    """The mask (6, 8, 3)."""
    colour = COLOURS[CLASSES[LABELS[number]]]
    mask = draw(TUMOUR, {".": (0, 0, 0), "#": colour})
    if number == SMOOTH:
        mask[0, 2:7, 2], mask[5, 2:7, 2] = 40, 20  # nearer to the teratoma, to the background
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "OTU_2d"
    for number in LABELS:
        save(folder / f"images/{number}.JPG", speckle(6, 8, number), "RGB")
        mask = drawn(number)[:5] if number == ODD else drawn(number)
        save(folder / f"annotations/{number}.PNG", mask)
        for suffix in ("_binary", "_binary_binary"):
            save(folder / f"annotations/{number}{suffix}.PNG", mask.any(axis=-1).astype(np.uint8))
    for name, part in (("train", TRAIN), ("val", TEST)):
        save_text(folder / f"{name}.txt", *map(str, part))
        lines = [f"{number}.JPG  {label}" for number, label in part.items()]
        save_text(folder / f"{name}_cls.txt", *lines)
    return tmp_path


def test_masks_are_as_pillow_reads_them(root, compose):
    dataset = open_release(compose, "mmotu", "segment", root)
    assert dataset.classes == CLASSES
    for split in SPLITS:
        for sample, record in zip(getattr(dataset, split), dataset.records[split], strict=True):
            label = LABELS[int(sample.id)]
            assert record.label == f"OTU_2d/annotations/{sample.id}.PNG"
            with Image.open(root / record.label) as mask:
                colours = np.array(mask)
            expected = (colours == COLOURS[CLASSES[label]]).all(axis=-1)
            if int(sample.id) == SMOOTH:
                expected[0, 2:7] = True
            assert np.array_equal(sample.target.planes[label], expected)
            assert sample.target.planes.any(axis=(1, 2)).tolist() == [n == label for n in range(8)]
    assert dataset.layout.oddities() == {
        "images left out, as their mask has another size": 1,
        "pixels of no class colour, taken for the nearest": 10,
    }


def test_boxes_are_those_of_the_masks(root, compose):
    dataset = open_release(compose, "mmotu", "detect", root)
    targets = {int(sample.id): sample.target for sample in dataset.test}
    assert targets[448].xyxy.tolist() == [[1, 1, 7, 5]] and targets[448].labels.tolist() == [0]
    assert targets[SMOOTH].xyxy.tolist() == [[1, 0, 7, 5]]


def test_val_txt_tests_and_train_txt_is_divided(root, compose):
    records = open_release(compose, "mmotu", "segment", root).records
    numbers = {split: {int(record.id) for record in records[split]} for split in SPLITS}
    assert numbers["test"] == TEST.keys() - {ODD}
    assert numbers["train"] | numbers["val"] == set(TRAIN)
    assert len(numbers["val"]) == 2  # the first count of at least 15 %
    assert all(record.group == record.id for part in records.values() for record in part)


def other_size(root: Path, number: int) -> None:
    save(root / f"OTU_2d/annotations/{number}.PNG", drawn(number)[:, :7])


def add_to_list(root: Path, name: str, *numbers: int) -> None:
    with (root / f"OTU_2d/{name}.txt").open("a") as file:
        file.writelines(f"{number}\n" for number in numbers)


BAD = {
    "an image without a mask": (
        lambda root: (root / "OTU_2d/annotations/448.PNG").unlink(),
        r"images/448.JPG: expected its label OTU_2d/annotations/448.PNG, found none",
    ),
    "a mask without an image": (
        lambda root: save(root / "OTU_2d/annotations/1469.PNG", drawn(448)),
        r"annotations/1469.PNG: expected an image for this label, found none",
    ),
    "a second mask of another size": (
        lambda root: other_size(root, 448),
        r"2 problems: \(1\) .*annotations/1269.PNG: expected the size of its image, 6 × 8, got "
        r"5 × 8 \(height × width\); 1 such are known \(2\) .*448.PNG: .* 6 × 8, got 6 × 7",
    ),
    "an image in no list": (
        lambda root: save_text(root / "OTU_2d/train.txt", "658"),
        r"images/1151.JPG: expected it in one of OTU_2d/train.txt, OTU_2d/val.txt, found it in no",
    ),
    "a list that names no image": (
        lambda root: add_to_list(root, "val", 1469),
        r"val.txt: line 9: expected the name of an image, got '1469'",
    ),
    "an image in both lists": (
        lambda root: add_to_list(root, "val", 658),
        r"val.txt: line 9: expected every image once, got '658' again",
    ),
    "the figshare tree": (
        lambda root: save(root / "dataset/OTU_2D/train/train_image/1.JPG", speckle(6, 8)),
        r"dataset/OTU_2D/train/train_image: this is the figshare tree of MMOTU .*; usbench reads "
        r"the Google Drive tree OTU_2d",
    ),
    "UltraBench's copy": (
        lambda root: save(root / "masks/tumor/1_multiclass.png", drawn(448)),
        r"masks/tumor: this is UltraBench's copy of MMOTU; usbench reads",
    ),
    "the masks of Zenodo 21128657": (
        lambda root: save(root / "MMOTU/labels/1.png", drawn(448)),
        r"MMOTU/labels: this is the masks without classes of Zenodo 21128657; usbench reads",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "mmotu", "segment", root)


def test_a_mask_of_another_size_is_an_error_unless_it_is_known(root, compose):
    known = "dataset.views.segment.known_defects.other_sizes=0"
    dataset = open_release(compose, "mmotu", "segment", root, known)
    assert {int(record.id) for record in dataset.records["test"]} == set(TEST)
    message = r"1269.PNG: expected the size of its image, 6 × 8, got 5 × 8"
    with pytest.raises(DataError, match=message):
        list(dataset.test)


def test_a_mask_in_other_colours_is_refused(root, compose):
    white = np.full((150, 150, 3), 255, np.uint8)
    save(root / "OTU_2d/images/448.JPG", white)
    save(root / "OTU_2d/annotations/448.PNG", white)
    dataset = open_release(compose, "mmotu", "segment", root)
    message = r"448.PNG: .* got 22500 pixels of no class, most of colour \(255, 255, 255\)"
    with pytest.raises(DataError, match=message):
        list(dataset.test)


def test_a_mask_of_0_and_1_is_refused(root, compose):
    binary = root / "OTU_2d/annotations/448_binary.PNG"
    binary.replace(root / "OTU_2d/annotations/448.PNG")
    dataset = open_release(compose, "mmotu", "segment", root)
    with pytest.raises(DataError, match=r"448.PNG: expected a colour mask .* of mode L"):
        list(dataset.test)
