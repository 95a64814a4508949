"""Whether a release's own folds keep groups together, by hand."""

from __future__ import annotations

import pytest

from usbench.datasets.check.release import ReleaseView, find_groups_across_folds
from usbench.types import Layout, Record


def view(*rows: tuple[str, tuple[str, ...]]) -> ReleaseView:
    """A view of records by (group, split in each fold)."""
    records = tuple(
        Record(f"{n}", group, f"{n}.png", None, folds=folds)
        for n, (group, folds) in enumerate(rows)
    )
    return ReleaseView("segment", Layout(), records, records)


@pytest.mark.parametrize(
    ("rows", "findings"),
    [
        ((("a", ()), ("b", ())), []),
        (
            (("a", ("test", "val")), ("a", ("test", "val")), ("b", ("val", "test"))),
            [("note", "every group is tested in exactly one fold")],
        ),
        (
            (("a", ("test", "train")), ("b", ("train", "test")), ("b", ("val", "test"))),
            [
                ("note", "every group is tested in exactly one fold"),
                ("warning", "groups in train and val, by fold: 1, 0; kept as released"),
            ],
        ),
        (
            (
                ("a", ("test", "train", "train")),
                ("a", ("train", "test", "train")),
                ("b", ("train", "train", "test")),
            ),
            [
                ("warning", "groups tested in several folds: 1, such as a; kept as released"),
                ("warning", "groups in train and test, by fold: 1, 1, 0; kept as released"),
            ],
        ),
        (  # a fixed test set, as TN3K's, is tested in every fold
            (("a", ("test", "test")), ("b", ("train", "val")), ("c", ("val", "train"))),
            [],
        ),
    ],
)
def test_groups_across_folds(rows, findings):
    found = [(item.level, item.text) for item in find_groups_across_folds(view(*rows))]
    assert found == [(level, f"segment: {text}") for level, text in findings]
