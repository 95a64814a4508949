"""Who trains, chooses and tests: whole groups, by rules that no library's version can change."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.helpers.near_duplicates import correlate_thumbnails, find_clusters
from tests.helpers.paths import ROOT
from usbench.datasets import splits
from usbench.errors import ConfigError, DataError
from usbench.types import Record

REAL = os.environ.get("USBENCH_TEST_DATA", "")


def record(n: int, group: str, split: str | None = "train") -> Record:
    return Record(f"{n:03d}", group, f"{n}.png", f"{n}.txt", split)  # type: ignore[arg-type]


TWENTY = [record(n, f"g{n // 2}") for n in range(20)]  # ten groups of two
TOY = Path("toy")
PINNED = [
    "g3",
    "g6",
    "g8",
    "g7",
    "g5",
    "g2",
    "g1",
    "g9",
    "g0",
    "g4",
]  # by sha256 of salt/g0 … salt/g9


def test_a_salted_hash_orders_the_groups():
    """By sha256 of "s/a", "s/b" and "s/c": a shuffle that anyone can redo by hand."""
    digests = {name: hashlib.sha256(f"s/{name}".encode()).hexdigest() for name in "abc"}
    assert splits.order_by_hash("abc", "s") == sorted("abc", key=digests.__getitem__)
    assert splits.order_by_hash(["a", "b", "c", "a"], "s") == splits.order_by_hash(
        ["c", "b", "a"], "s"
    )
    assert splits.order_by_hash("abcdef", "usgra") != splits.order_by_hash("abcdef", "spinal")
    assert splits.order_by_hash((r.group for r in TWENTY), "salt") == PINNED


def test_hold_out_moves_whole_groups_until_there_is_enough():
    parts = splits.hold_out(TWENTY, 0.25, "salt")
    val = [r for r in parts if r.split == "val"]
    # a quarter of twenty is 5; groups have two: g3, g6 and g8
    assert [r.id for r in val] == ["006", "007", "012", "013", "016", "017"]
    assert not {r.group for r in val} & {r.group for r in parts if r.split == "train"}
    assert parts == splits.hold_out(list(reversed(TWENTY)), 0.25, "salt")[::-1]


def test_a_group_that_leaks_into_the_test_split_stays_in_training():
    records = [*TWENTY, *(record(30 + n, f"g{n}", "test") for n in range(9))]
    parts = splits.hold_out(records, 0.5, "salt")
    assert {r.group for r in parts if r.split == "val"} == {"g9"}
    assert [r for r in parts if r.split == "test"] == records[20:]
    assert not splits.find_crossing_groups(splits.divide_by_split(parts, TOY), "train", "val")


def test_hold_out_leaves_the_releases_validation_alone():
    records = [*TWENTY, record(30, "v", "val")]
    assert splits.hold_out(records, 0.0, "salt") == records
    assert splits.hold_out(records, 0.1, "salt")[-1] == records[-1]


def test_folds_test_every_record_once_and_keep_groups_together():
    tested: Counter[str] = Counter()
    for fold in range(5):
        parts = splits.divide_by_split(splits.split_k_fold(TWENTY, 5, fold, "salt"), TOY)
        tested.update(r.id for r in parts["test"])
        for first, second in (("train", "test"), ("train", "val"), ("val", "test")):
            assert not splits.find_crossing_groups(parts, first, second)  # type: ignore[arg-type]
        following = splits.divide_by_split(
            splits.split_k_fold(TWENTY, 5, (fold + 1) % 5, "salt"), TOY
        )
        assert parts["val"] == tuple(replace(r, split="val") for r in following["test"])
    assert tested == Counter(r.id for r in TWENTY)  # each exactly once
    assert tested.total() == 20


@pytest.mark.parametrize("fold", [-1, 5])
def test_a_fold_that_is_not_there(fold):
    with pytest.raises(ConfigError, match=rf"fold={fold}: expected 0 to 4"):
        splits.split_k_fold(TWENTY, 5, fold, "salt")


def test_folds_pinned():
    """PINNED's groups, dealt out in turn: fold 0 tests g3 and g2, fold 1 g6 and g1 …"""
    tested = [
        [r.id for r in splits.split_k_fold(TWENTY, 5, f, "salt") if r.split == "test"]
        for f in range(5)
    ]
    assert tested == [
        ["004", "005", "006", "007"],
        ["002", "003", "012", "013"],
        ["016", "017", "018", "019"],
        ["000", "001", "014", "015"],
        ["008", "009", "010", "011"],
    ]
    backwards = splits.split_k_fold(TWENTY[::-1], 5, 0, "salt")
    assert backwards[::-1] == splits.split_k_fold(
        TWENTY, 5, 0, "salt"
    )  # the order of the records is nothing


def test_folds_leave_the_releases_own_split_behind():
    released = [record(n, f"g{n // 2}", "test" if n > 9 else "train") for n in range(20)]
    assert splits.split_k_fold(released, 5, 3, "salt") == splits.split_k_fold(TWENTY, 5, 3, "salt")


def test_regroup():
    alone = [record(n, f"{n:03d}") for n in range(6)]  # as in usgra: each image a group
    merged = splits.regroup(alone, [["000", "004"], ["002", "001", "005"]])
    assert [r.group for r in merged] == ["000", "002", "002", "003", "000", "002"]
    assert [replace(r, group=r.id) for r in merged] == alone and splits.regroup(alone, []) == alone
    with pytest.raises(
        DataError, match=r"groups '999' with others, but the release has no such image"
    ):
        splits.regroup(alone, [["000", "999"]])


def test_regroup_moves_whole_groups():
    """Two images of each pig; a cluster ties pig0 to pig1, and a second one adds pig2."""
    pigs = [record(n, f"pig{n // 2}") for n in range(8)]
    assert [r.group for r in splits.regroup(pigs, [["000", "002"]])] == ["000"] * 4 + [
        "pig2"
    ] * 2 + ["pig3"] * 2
    assert [r.group for r in splits.regroup(pigs, [["000", "002"], ["003", "005"]])] == [
        "000"
    ] * 6 + ["pig3"] * 2


def test_two_folds_cannot_train():
    with pytest.raises(ConfigError, match="at least 3"):
        splits.split_k_fold(TWENTY, 2, 0, "salt")


def test_an_empty_split_or_a_record_without_one_is_an_error():
    with pytest.raises(
        DataError, match=r"^toy: expected an image in the val split, found none \(20 in all\)"
    ):
        splits.divide_by_split(TWENTY, TOY)
    with pytest.raises(
        DataError,
        match=r"0\.png: expected a split, found none \(1 such images\); let .* split: {shares: ",
    ):
        splits.divide_by_split([*TWENTY, record(0, "g", None)], TOY)


def test_near_duplicates_by_hand():
    """The first, with another gain, its negative, and with one odd pixel."""
    ramp = np.arange(16, dtype=np.float32).reshape(4, 4)
    noisy = 3 * ramp + 10
    noisy[0, 0] += 12
    table = correlate_thumbnails(np.stack([ramp, 2 * ramp + 5, -ramp, noisy]))
    assert (
        table[0, 1] == pytest.approx(1) and table[0, 2] == pytest.approx(-1) and table[0, 3] > 0.95
    )
    assert find_clusters(["a", "b", "c", "d"], table >= 0.95) == [["a", "b", "d"]]
    chain = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], bool)
    assert find_clusters(["x", "y", "z"], chain) == [["x", "y", "z"]]
    pairs = np.eye(5, dtype=bool)
    pairs[[0, 3, 1, 4], [3, 0, 4, 1]] = (
        True  # ids and clusters come out sorted, whoever stands first
    )
    assert find_clusters(["e", "d", "c", "b", "a"], pairs) == [["a", "d"], ["b", "e"]]


def test_a_picture_of_one_grey_is_like_nothing():
    """Its correlation is undefined: 0, not NaN, with itself too."""
    flat, ramp = np.full((4, 4), 7, np.float32), np.arange(16, dtype=np.float32).reshape(4, 4)
    assert correlate_thumbnails(np.stack([flat, flat, ramp])) == pytest.approx(
        np.diag([0, 0, 1]), abs=1e-6
    )


def test_correlations_by_numpy():
    thumbnails = np.random.default_rng(0).random((5, *splits.THUMBNAIL)).astype(np.float32)
    assert correlate_thumbnails(thumbnails) == pytest.approx(
        np.corrcoef(thumbnails.reshape(5, -1)), abs=1e-6
    )


@pytest.mark.real
@pytest.mark.skipif(
    not Path(REAL, "usgra").is_dir() or not REAL,
    reason="USBENCH_TEST_DATA names no folder with usgra",
)
def test_the_near_duplicates_and_the_leak_of_usgra_are_those_of_its_yaml():
    node = yaml.safe_load((ROOT / "conf" / "dataset" / "usgra.yaml").read_text())
    ids, thumbnails = [], []
    for split, folder in (("test", "dataset/test/images"), ("train", "dataset/images")):
        for path in sorted(Path(REAL, "usgra", folder).glob("*.png")):
            ids.append(f"{split}/{path.stem}")
            luma = Image.open(path).convert("L").resize(splits.THUMBNAIL, Image.Resampling.BILINEAR)
            thumbnails.append(np.asarray(luma, np.float32))
    similar = correlate_thumbnails(np.stack(thumbnails)) >= 0.95
    assert find_clusters(ids, similar) == node["split"]["near_duplicates"]
    trained = np.array([name.startswith("train") for name in ids])
    leaking = [
        name for n, name in enumerate(ids) if not trained[n] and (similar[n] & trained).any()
    ]
    assert leaking == node["leakage"]["images"] and len(leaking) == 7
