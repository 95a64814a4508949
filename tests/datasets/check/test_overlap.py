"""Images that two releases have in common, by hand and by the command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from usbench.cli import check as verb
from usbench.datasets.check import images, overlap
from usbench.datasets.check.findings import Finding


def write_images(folder: Path, pictures: dict[str, np.ndarray]) -> dict[str, images.ImageFacts]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name)
    return images.examine_images(folder, list(pictures))[0]


def smooth(seed: int) -> np.ndarray:
    """Blobs that a thumbnail keeps."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8), np.uint8))


def test_common_images_by_hand(tmp_path):
    first = {"a.png": smooth(0), "b.png": smooth(1), "c.png": smooth(2)}
    brighter = (smooth(1) // 2 + 60).astype(np.uint8)  # correlation 1, other pixels
    second = {"x.png": smooth(3), "y.png": brighter, "z.png": smooth(0)}
    common = overlap.find_common_images(
        write_images(tmp_path / "1", first), write_images(tmp_path / "2", second)
    )
    assert [(pair.first, pair.second, pair.identical) for pair in common] == [
        ("a.png", "z.png", True),
        ("b.png", "y.png", False),
    ]
    assert common[0].correlation == pytest.approx(1) and common[1].correlation > 0.99


def test_pairs_of_the_matrix_s_blocks_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(overlap, "BLOCK", 2)
    pictures = {f"{n}.png": smooth(n) for n in range(5)}
    facts = write_images(tmp_path, pictures)
    common = overlap.find_common_images(facts, facts)
    assert {(pair.first, pair.second) for pair in common} == {(name, name) for name in pictures}


def test_other_images_have_nothing_in_common(tmp_path):
    first = write_images(tmp_path / "1", {"a.png": smooth(0), "b.png": smooth(1)})
    second = write_images(tmp_path / "2", {"x.png": smooth(2)})
    assert overlap.find_common_images(first, second) == []


def test_nothing_has_nothing_in_common(tmp_path):
    facts = write_images(tmp_path, {"a.png": smooth(0)})
    assert overlap.find_common_images({}, facts) == overlap.find_common_images(facts, {}) == []


PAIR = overlap.CommonImage("a.png", "z.png", 1.0, True)


@pytest.mark.parametrize(
    ("common", "stated", "level", "text"),
    [
        (
            [PAIR],
            {},
            "warning",
            "1 image of one with what one of other shows .* 1 pair the same .* don't train on",
        ),
        ([PAIR], {"other": "all heads"}, "note", "as the YAML says: all heads"),
        ([], {}, "note", "no image of one shows what one of other shows"),
        ([], {"other": "all heads"}, "warning", "but the YAML says: all heads"),
    ],
)
def test_an_overlap_is_judged_by_the_yaml(common, stated, level, text):
    (finding,) = overlap.judge_overlap(common, "one", "other", stated)
    assert isinstance(finding, Finding) and finding.level == level and finding.kind == "overlap"
    assert re.search(text, finding.text)


# ---- the command


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """Two releases of index masks that share an image, one as `usgra`, one as `phantom`."""
    monkeypatch.chdir(tmp_path)
    for n, (folder, names) in enumerate(
        {
            "data/usgra/dataset": ("images", "masks"),
            "data/usgra/dataset/test": ("images", "masks"),
            "data/phantom/train": ("images", "masks"),
            "data/phantom/val": ("images", "masks"),
            "data/phantom/test": ("images", "masks"),
        }.items()
    ):
        for k in range(4):
            for kind, pixels in zip(
                names, (smooth(10 * n + k), np.zeros((64, 64), np.uint8)), strict=True
            ):
                path = tmp_path / folder / kind / f"g{n}_{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    shared = tmp_path / "data/usgra/dataset/images/g0_0.png"
    (tmp_path / "data/phantom/test/images/g4_0.png").write_bytes(shared.read_bytes())
    return tmp_path / "data"


def test_the_command_names_what_both_have(data, capsys):
    options = ["dataset.leakage=null", "dataset.split.near_duplicates=[]", f"data={data}"]
    words = ["--dataset", "usgra", "--against", "phantom", "--json", "found.json", "task=segment"]
    verb.main([*words, *options])
    out = capsys.readouterr().out
    assert "1 pair of images that usgra and phantom have in common" in out
    found = json.loads(Path("found.json").read_text())
    (pair,) = found["common"]
    assert pair["first"] == "dataset/images/g0_0.png" and pair["identical"]
    assert pair["second"] == "test/images/g4_0.png"


def test_a_dataset_isn_t_compared_with_itself(data, capsys):
    options = ["dataset.leakage=null", "dataset.split.near_duplicates=[]", f"data={data}"]
    assert verb.main(["dataset=usgra", "--against", "usgra", "task=segment", *options]) == 2
    assert "expected another dataset than the checked one" in capsys.readouterr().err
