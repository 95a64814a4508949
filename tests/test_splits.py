"""Who trains, chooses and tests: whole groups, by rules that no library's version can change."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from usbench.datasets import splits
from usbench.errors import ConfigError, DataError
from usbench.types import Record

ROOT = Path(__file__).parent.parent
REAL = os.environ.get("USBENCH_TEST_DATA", "")


def record(n: int, group: str, split: str | None = "train") -> Record:
    return Record(f"{n:03d}", group, f"{n}.png", f"{n}.txt", split)  # type: ignore[arg-type]


TWENTY = [record(n, f"g{n // 2}") for n in range(20)]


def test_a_salted_hash_orders_the_groups():
    """By sha256 of "s/a", "s/b" and "s/c": a shuffle that anyone can redo by hand."""
    digests = {name: hashlib.sha256(f"s/{name}".encode()).hexdigest() for name in "abc"}
    assert splits.by_hash("abc", "s") == sorted("abc", key=digests.__getitem__)
    assert splits.by_hash(["a", "b", "c", "a"], "s") == splits.by_hash(["c", "b", "a"], "s")
    assert splits.by_hash("abcdef", "usgra") != splits.by_hash("abcdef", "spinal")


def test_hold_out_moves_whole_groups_until_there_is_enough():
    parts = splits.hold_out(TWENTY, 0.25, "salt")
    held = [r for r in parts if r.split == "val"]
    assert len(held) == 6  # a quarter of twenty is 5; groups have two
    assert not {r.group for r in held} & {r.group for r in parts if r.split == "train"}
    assert parts == splits.hold_out(list(reversed(TWENTY)), 0.25, "salt")[::-1]


def test_a_group_that_leaks_into_the_test_split_stays_in_training():
    records = [*TWENTY, *(record(30 + n, f"g{n}", "test") for n in range(9))]
    held = {r.group for r in splits.hold_out(records, 0.5, "salt") if r.split == "val"}
    assert held == {"g9"}


def test_folds_test_every_record_once_and_keep_groups_together():
    tested: Counter[str] = Counter()
    for fold in range(5):
        parts = splits.divide(splits.k_fold(TWENTY, 5, fold, "salt"), "toy")
        tested.update(r.id for r in parts["test"])
        for one, other in (("train", "test"), ("train", "val"), ("val", "test")):
            assert not splits.crossing(parts, one, other)  # type: ignore[arg-type]
        following = splits.divide(splits.k_fold(TWENTY, 5, (fold + 1) % 5, "salt"), "toy")
        assert parts["val"] == tuple(r.__class__(**{**r.__dict__, "split": "val"}) for r in following["test"])
    assert tested == Counter(r.id for r in TWENTY)
    with pytest.raises(ConfigError, match="fold=5"):
        splits.k_fold(TWENTY, 5, 5, "salt")


def test_regroup():
    merged = splits.regroup(TWENTY, [["000", "010"]])
    assert merged[0].group == merged[10].group == "000" and merged[1].group == "g0"
    with pytest.raises(DataError, match="'999'"):
        splits.regroup(TWENTY, [["000", "999"]])


def test_an_empty_split_or_a_record_without_one_is_an_error():
    with pytest.raises(DataError, match="an image in the val split was wanted"):
        splits.divide(TWENTY, "toy")
    with pytest.raises(DataError, match="a split was wanted"):
        splits.divide([record(0, "g", None)], "toy")


def test_near_duplicates_by_hand():
    """The second is the first with another gain; the third its negative; the fourth has one odd pixel."""
    ramp = np.arange(16, dtype=np.float32).reshape(4, 4)
    noisy = 3 * ramp + 10
    noisy[0, 0] += 12
    table = splits.correlations(np.stack([ramp, 2 * ramp + 5, -ramp, noisy]))
    assert table[0, 1] == pytest.approx(1) and table[0, 2] == pytest.approx(-1) and table[0, 3] > 0.95
    assert splits.clusters(["a", "b", "c", "d"], table >= 0.95) == [["a", "b", "d"]]
    chain = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], bool)
    assert splits.clusters(["x", "y", "z"], chain) == [["x", "y", "z"]]


@pytest.mark.real
@pytest.mark.skipif(not Path(REAL, "usgra").is_dir() or not REAL, reason="USBENCH_TEST_DATA names no folder with usgra")
def test_the_near_duplicates_and_the_leak_of_usgra_are_those_of_its_yaml():
    node = yaml.safe_load((ROOT / "conf" / "dataset" / "usgra.yaml").read_text())
    ids, thumbnails = [], []
    for split, folder in (("test", "dataset/test/images"), ("train", "dataset/images")):
        for path in sorted(Path(REAL, "usgra", folder).glob("*.png")):
            ids.append(f"{split}/{path.stem}")
            luma = Image.open(path).convert("L").resize(splits.THUMBNAIL, Image.Resampling.BILINEAR)
            thumbnails.append(np.asarray(luma, np.float32))
    similar = splits.correlations(np.stack(thumbnails)) >= 0.95
    assert splits.clusters(ids, similar) == node["split"]["near_duplicates"]
    trained = np.array([name.startswith("train") for name in ids])
    leaking = [name for n, name in enumerate(ids) if not trained[n] and (similar[n] & trained).any()]
    assert leaking == node["leak"]["images"] and len(leaking) == 7
