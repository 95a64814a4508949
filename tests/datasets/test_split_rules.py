"""The rules that make a split: shares of groups, strata, runs of a numbering, folds."""

from collections import Counter
from dataclasses import replace

import pytest

from usbench.datasets import splits
from usbench.datasets.config import SplitConfig
from usbench.datasets.splits import assign_splits, require_separate_groups
from usbench.errors import ConfigError, DataError
from usbench.types import Record


def record(n, group=None, split=None, **attributes):
    return Record(f"{n:03d}", group or f"g{n}", f"{n}.png", None, split, attributes=attributes)


PLAIN = [record(n) for n in range(100)]
PAIRS = [record(n, f"g{n // 2}", view="long" if n < 60 else "short") for n in range(80)]
SHARES = {"val": 0.1, "test": 0.2}


def counts(records):
    return dict(Counter(r.split for r in records))


def test_shares_of_single_images_are_exact():
    assert counts(splits.split_by_shares(PLAIN, SHARES, "salt")) == {
        "train": 70,
        "val": 10,
        "test": 20,
    }


def test_shares_move_whole_groups_stratum_by_stratum():
    """60 long images in 30 groups: 12 test, 6 val; 20 short in 10 groups: 4 test, 2 val."""
    parts = splits.split_by_shares(PAIRS, SHARES, "salt", "view")
    by_view = {
        "long": {"train": 42, "val": 6, "test": 12},
        "short": {"train": 14, "val": 2, "test": 4},
    }
    for view, expected in by_view.items():
        assert counts(r for r in parts if r.attributes["view"] == view) == expected
    split_of = {(r.group, r.split) for r in parts}
    assert len(split_of) == len({group for group, _ in split_of})


def test_a_group_of_two_strata_counts_with_its_first_record():
    mixed = [
        record(0, "a", view="long"),
        record(1, "a", view="short"),
        record(2, "b", view="short"),
    ]
    assert splits.group_strata(mixed, "view") == {"long": {"a"}, "short": {"b"}}
    assert splits.group_strata(mixed, None) == {"": {"a", "b"}}


def test_shares_depend_on_names_alone_not_on_order():
    parts = splits.split_by_shares(PAIRS, SHARES, "salt", "view")
    assert splits.split_by_shares(PAIRS[::-1], SHARES, "salt", "view")[::-1] == parts


def test_stratified_folds_deal_each_stratum_out_evenly():
    tested = Counter()
    for fold in range(5):
        parts = splits.split_k_fold(PAIRS, 5, fold, "salt", "view")
        test = [r for r in parts if r.split == "test"]
        assert Counter(r.attributes["view"] for r in test) == {"long": 12, "short": 4}
        tested.update(r.id for r in test)
    assert set(tested.values()) == {1} and len(tested) == 80


def test_runs_are_contiguous_with_a_gap_at_each_border():
    """100 images, .65/.15/.2, gap 10: train 0–59, val 70–74 (5 lost at each side), test 85–99."""
    parts = splits.split_runs(PLAIN, splits.runs_by_shares({"val": 0.15, "test": 0.2}), 10)
    numbers = {s: [int(r.id) for r in parts if r.split == s] for s in ("train", "val", "test")}
    assert numbers == {"train": [*range(60)], "val": [*range(70, 75)], "test": [*range(85, 100)]}


def test_an_odd_gap_drops_all_of_it():
    parts = splits.split_runs(PLAIN, splits.runs_by_shares({"val": 0.2, "test": 0.2}), 3)
    assert len(parts) == 94
    assert (
        next(r.id for r in parts if r.split == "val") == "062"
    )  # 60 is the border: 59 goes before it, 60 and 61 after


def test_folds_of_runs_have_no_gap_between_two_training_runs():
    """Fold 1 of 5, gap 10: test 25–34, val 45–54, train 0–14 and 65–99."""
    parts = splits.split_runs(PLAIN, splits.runs_by_fold(5, 1), 10)
    numbers = {s: [int(r.id) for r in parts if r.split == s] for s in ("train", "val", "test")}
    assert numbers == {
        "train": [*range(15), *range(65, 100)],
        "val": [*range(45, 55)],
        "test": [*range(25, 35)],
    }
    last = splits.split_runs(
        PLAIN, splits.runs_by_fold(5, 4), 10
    )  # validation is the next, cyclically: the first run
    assert [r.id for r in last if r.split == "val"] == [f"{n:03d}" for n in range(15)]


@pytest.mark.parametrize("fold", [-1, 5])
def test_a_fold_that_is_none(fold):
    with pytest.raises(ConfigError, match=r"expected 0 to 4"):
        splits.runs_by_fold(5, fold)


@pytest.mark.parametrize(
    ("split", "fold", "expected"),
    [
        ({"shares": SHARES}, None, {"train": 70, "val": 10, "test": 20}),
        (
            {"shares": SHARES, "gap": 10},
            None,
            {"train": 65, "test": 15},
        ),  # a run of 10 between two gaps is gone
        ({"shares": SHARES, "folds": 5}, 0, {"train": 60, "val": 20, "test": 20}),
        ({"shares": SHARES, "folds": 5, "gap": 4}, 0, {"train": 58, "val": 16, "test": 18}),
        ({}, None, {None: 100}),
    ],
)
def test_the_yaml_settles_the_split(split, fold, expected):
    assert counts(assign_splits(PLAIN, SplitConfig("", **split), fold, "toy")) == expected


@pytest.mark.parametrize(
    "shares",
    [
        {"val": 0.1},
        {"val": 0.1, "test": 0},
        {"val": 0.5, "test": 0.5},
        {"val": True, "test": 0.1},
        {"a": 1},
    ],
)
def test_shares_that_can_t_be(shares):
    with pytest.raises(ConfigError, match=r"split\.shares of toy"):
        assign_splits(PLAIN, SplitConfig("", shares=shares), None, "toy")


def test_shares_over_a_release_that_has_a_split():
    with pytest.raises(ConfigError, match=r"a split of its own \(000\)"):
        records = [replace(PLAIN[0], split="train"), *PLAIN[1:]]
        assign_splits(records, SplitConfig("", shares=SHARES), None, "toy")


def test_a_group_on_two_sides_of_a_split_of_ours():
    train, test = record(0, "a", "train"), record(1, "a", "test")
    divided = {"train": (train,), "val": (record(2),), "test": (test,)}
    with pytest.raises(DataError, match="got 'a' in train and test"):
        require_separate_groups(divided, SplitConfig("", shares=SHARES), None, "toy")
    # the release's own test split is taken as it is
    require_separate_groups(divided, SplitConfig("", val_share=0.1), None, "toy")


# ---- a release's own folds, and the authors' test groups

FOLDED = [
    replace(
        record(n, f"g{n // 2}"),
        folds=tuple(
            "test" if n // 2 == fold else "val" if n // 2 == (fold + 1) % 3 else "train"
            for fold in range(3)
        ),
    )
    for n in range(6)
]
RELEASED = SplitConfig("", folds=3, released_folds=True)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_released_fold_is_taken_as_it_is(fold):
    parts = assign_splits(FOLDED, RELEASED, fold, "x")
    assert [part.split for part in parts] == [one.folds[fold] for one in FOLDED]


def test_no_fold_is_the_first_of_the_release_s():
    assert assign_splits(FOLDED, RELEASED, None, "x") == assign_splits(FOLDED, RELEASED, 0, "x")


def test_a_released_fold_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="fold=3: expected 0 to 2"):
        assign_splits(FOLDED, RELEASED, 3, "x")


def test_a_released_fold_may_share_groups_and_ours_may_not():
    shared = {"train": [record(0, "a")], "val": [record(1, "a")], "test": [record(2, "b")]}
    require_separate_groups(shared, RELEASED, 0, "x")
    with pytest.raises(DataError, match="got 'a' in train and val"):
        require_separate_groups(shared, SplitConfig("", folds=3), 0, "x")


def test_the_named_groups_test_and_validation_is_taken_from_the_others():
    split = SplitConfig("", test_groups=("g0", "g3"), val_share=0.25)
    parts = assign_splits(PAIRS, split, None, "x")
    tested = {part.group for part in parts if part.split == "test"}
    chosen = {part.group for part in parts if part.split == "val"}
    assert tested == {"g0", "g3"} and counts(parts) == {"test": 4, "val": 20, "train": 56}
    assert not chosen & {part.group for part in parts if part.split == "train"}


def test_a_test_group_that_is_not_there_is_refused():
    split = SplitConfig("", test_groups=("g0", "nobody"))
    with pytest.raises(DataError, match=r"split\.test_groups in the release, found no 'nobody'"):
        assign_splits(PAIRS, split, None, "x")
