"""The same image twice: decoding, pairs, what they mean, and their contact sheet, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.helpers.near_duplicates import correlate_thumbnails
from usbench.datasets.check import contact_sheet, duplicates, images, leakage, release
from usbench.datasets.codecs import image
from usbench.errors import RunError
from usbench.types import OFF, SEEN, Boxes, Landmarks, Masks, Record


def test_similar_by_hand():
    ramp = np.arange(4, dtype=np.uint8).reshape(2, 2)
    flat, bent = np.full((2, 2), 9, np.uint8), np.array([[0, 1], [2, 9]], np.uint8)
    near, values = duplicates.find_similar(
        np.stack([ramp, 3 * ramp + 7, 3 - ramp, flat, bent]), 0.8
    )
    # about their means: (-1.5, -.5, .5, 1.5) and (-3, -2, -1, 6): 14 / sqrt(5 · 50)
    assert near.tolist() == [[0, 1], [0, 4], [1, 4]]
    assert values == pytest.approx([1, 14 / np.sqrt(250), 14 / np.sqrt(250)])


def test_the_threshold_belongs_to_the_pairs():
    first, second = np.array([[0, 1, 2, 3]], np.uint8), np.array([[0, 1, 2, 9]], np.uint8)
    exact = float(duplicates.correlate_pairs(np.stack([first, second]), np.array([[0, 1]]))[0])
    assert len(duplicates.find_similar(np.stack([first, second]), exact)[0]) == 1
    assert len(duplicates.find_similar(np.stack([first, second]), np.nextafter(exact, 2))[0]) == 0


def test_blocks_find_what_the_whole_matrix_has():
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 256, (2 * duplicates.BLOCK + 7, 3, 3)).astype(np.uint8)
    near, values = duplicates.find_similar(thumbnails, 0.9)
    whole = np.triu(correlate_thumbnails(thumbnails), 1)
    assert len(near) > 300 and near.tolist() == np.argwhere(whole >= 0.9).tolist()
    assert values == pytest.approx(whole[tuple(near.T)], abs=1e-5)


@pytest.mark.parametrize("count", [0, 1])
def test_few_images_have_no_pairs(count):
    near, values = duplicates.find_similar(np.zeros((count, 2, 2), np.uint8))
    assert near.shape == (0, 2) and values.shape == (0,)


def test_thumbnails_are_bilinear(tmp_path):
    """The rule of the YAML's lists: a triangle of weights 1/8, 3/8, 3/8, 1/8, not a box."""
    step = np.zeros((64, 64), np.uint8)
    step[:, 32:] = 255
    image.write_grey(tmp_path / "a.png", step)
    row = images.examine_image(tmp_path / "a.png").thumbnail[10]
    assert row.tolist() == [0] * 15 + [32, 223] + [255] * 15


def test_a_digest_is_of_the_luma(tmp_path):
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    for name, picture in (
        ("grey.png", Image.fromarray(grey)),
        ("rgb.png", Image.fromarray(grey).convert("RGB")),
        ("palette.bmp", Image.fromarray(grey).convert("P")),
        ("turned.png", Image.fromarray(grey.reshape(8, 6))),
    ):
        picture.save(tmp_path / name)
    facts, wrong = images.examine_images(
        tmp_path, [path.name for path in sorted(tmp_path.iterdir())]
    )
    assert not wrong and not any(fact.tinted for fact in facts.values())
    assert facts["grey.png"].digest == facts["rgb.png"].digest == facts["palette.bmp"].digest
    assert facts["grey.png"].digest != facts["turned.png"].digest  # the same bytes in another size
    assert (facts["grey.png"].low, facts["grey.png"].high, facts["grey.png"].size) == (
        0,
        235,
        (6, 8),
    )


def seen(digest: bytes, seed: int) -> images.ImageFacts:
    thumbnail = np.random.default_rng(seed).integers(0, 256, (32, 32)).astype(np.uint8)
    return images.ImageFacts((32, 32), 0, 255, False, digest, thumbnail)


def test_two_records_of_one_image_file_are_no_duplicates():
    """Two annotators' records of one image."""
    records = [
        Record(f"{n}/{who}", f"g{n}", f"{n}.png", f"{who}.csv", "train")
        for n in (1, 2)
        for who in "ab"
    ]
    pairs, inside = duplicates.find_pairs(records, records, {"1.png": seen(b"1", 1)})
    assert (pairs, inside) == ([], 0)
    same = {"1.png": seen(b"1", 1), "2.png": seen(b"1", 1)}
    pairs, _ = duplicates.find_pairs(records, records, same)
    assert [(pair.first.id, pair.second.id, pair.identical) for pair in pairs] == [
        ("1/a", "2/a", True)
    ]


def test_frames_of_one_video_are_counted_not_listed():
    records = [Record(f"{n}", "video", f"{n}.png", None, "train") for n in range(3)]
    looks = {f"{n}.png": seen(bytes([n]), 7) for n in range(3)}
    assert duplicates.find_pairs(records, records, looks) == ([], 3)
    apart = [replace(record, split="test" if record.id == "2" else "train") for record in records]
    pairs, inside = duplicates.find_pairs(
        records, apart, looks
    )  # unless the release has them in two splits
    assert inside == 1 and [(pair.first.id, pair.second.id) for pair in pairs] == [
        ("2", "0"),
        ("2", "1"),
    ]


def test_identical_ones_of_three_splits_are_all_found():
    records = [
        Record(f"{n}", f"g{n}", f"{n}.png", None, split)
        for n, split in enumerate(("train", "test", "val", None))
    ]
    pairs, _ = duplicates.find_pairs(
        records, records, {record.image: seen(b"same", 3) for record in records}
    )
    across = [(pair.first.split, pair.second.split) for pair in pairs if pair.across]
    assert sorted(across) == [("test", "train"), ("test", "val"), ("val", "train")]
    assert all(pair.identical for pair in pairs) and len(pairs) == 6
    rules = leakage.LeakRules(frozenset(), True, True)
    levels = [finding.level for finding in leakage.judge_pairs("detect", pairs, 0, 1, rules)]
    assert levels.count("error") == 3


def test_identical_black_images_are_found_though_they_correlate_with_none():
    records = [
        Record(f"{n}", f"g{n}", f"{n}.png", None, split)
        for n, split in enumerate(("train", "test"))
    ]
    black = images.ImageFacts((9, 9), 0, 0, False, b"black", np.zeros((32, 32), np.uint8))
    pairs, _ = duplicates.find_pairs(records, records, {record.image: black for record in records})
    assert [(pair.first.id, pair.identical, pair.across) for pair in pairs] == [("1", True, True)]


def test_one_image_file_in_two_splits_is_an_error():
    records = [Record("a", "g", "x.png", None, "train"), Record("b", "h", "x.png", None, "test")]
    view = release.ReleaseView("segment", None, tuple(records), tuple(records))
    (finding,) = release.find_shared_images(view)
    assert finding.level == "error" and "x.png is a in train and b in test" in finding.text


def test_a_test_image_s_highest_correlation_with_train_or_val_by_hand():
    """Thumbnails of four pixels. With a: b is the same picture at half the contrast, c its negative,
    d differs in one pixel."""
    pictures = {
        "a": [10, 12, 14, 16],
        "b": [10, 11, 12, 13],
        "c": [16, 14, 12, 10],
        "d": [10, 12, 14, 10],
    }
    thumbnails = {name: np.uint8(values).reshape(1, 2, 2) for name, values in pictures.items()}
    for first, second, expected in (
        ("a", "b", 1.0),
        ("a", "c", -1.0),
        ("a", "d", np.corrcoef(pictures["a"], pictures["d"])[0, 1]),
    ):
        got = duplicates.highest_correlations(thumbnails[first], thumbnails[second])
        assert got == pytest.approx([expected], abs=1e-6)
    others = np.concatenate([thumbnails["c"], thumbnails["d"], thumbnails["b"]])
    assert duplicates.highest_correlations(thumbnails["a"], others) == pytest.approx([1.0])


def test_only_test_images_with_a_look_alike_elsewhere_are_stated_rounded_down():
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32)).astype(np.uint8)
    like = noise[0].copy()
    like[:2] = noise[1][:2]  # a sixteenth of the pixels is another picture's
    shown = {"t": noise[0], "u": noise[1], "v": like, "unused": noise[1], "train": noise[2]}
    facts = {
        name: images.ImageFacts((32, 32), 0, 255, False, name.encode(), thumbnail)
        for name, thumbnail in shown.items()
    }
    splits = {"t": "test", "u": "test", "v": "val", "unused": None, "train": "train"}
    records = [Record(name, name, name, None, split) for name, split in splits.items()]
    exact = np.corrcoef(noise[0].ravel().astype(float), like.ravel().astype(float))[0, 1]
    assert duplicates.correlate_tests(records, facts) == {"t": int(exact * 1000) / 1000}
    assert duplicates.correlate_tests(records[:2], facts) == {}


def test_correlations_of_the_yaml_that_are_not_the_measured_ones_are_named():
    rules = leakage.LeakRules(frozenset("a"), True, True, {"a": 0.97, "b": 0.9})
    measured = {"a": 0.97, "b": 0.91, "c": 0.86}
    note, warning = leakage.judge_correlations("detect", measured, 5, rules)
    assert note.text.startswith("detect: 1 ≥ 0.95, 2 ≥ 0.9, 3 ≥ 0.85, of 5 test images")
    assert warning.level == "warning" and warning.text.endswith("those measured for b, c")
    agreeing = leakage.LeakRules(frozenset("a"), True, True, measured)
    assert len(list(leakage.judge_correlations("detect", measured, 5, agreeing))) == 1
    dealt_out = leakage.LeakRules(frozenset("a"), True, False, measured)
    assert list(leakage.judge_correlations("detect", measured, 5, dealt_out)) == []


def test_clusters_are_connected_components():
    assert duplicates.connect_pairs([("d", "e"), ("b", "a"), ("c", "b")]) == [
        ["a", "b", "c"],
        ["d", "e"],
    ]
    assert duplicates.connect_pairs([]) == []


def test_new_pairs_join_listed_clusters_in_what_is_to_be_pasted():
    def pair(first: str, second: str, known: bool) -> duplicates.SimilarPair:
        ends = (
            Record(name, "g" if known else name, name, None, "train") for name in (first, second)
        )
        return duplicates.SimilarPair(*ends, 0.97, False)

    pairs = [pair("0001", "0002", True), pair("0002", "0003", False), pair("x, y", "0005", True)]
    text = leakage.format_yaml(pairs, leakage.LeakRules(frozenset(), True, True), 4)
    assert (
        text == "split:\n  near_duplicates:\n    - ['0001', '0002', '0003']"
    )  # quoted: they are words
    assert leakage.format_yaml(pairs[::2], leakage.LeakRules(frozenset(), True, True), 4) == ""


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        (Masks(np.zeros((2, 3, 3), bool)), Masks(np.zeros((2, 3, 3), bool)), []),
        (Masks(np.zeros((2, 3, 3), bool)), Masks(np.arange(18).reshape(2, 3, 3) > 8), ["b"]),
        (Masks(np.zeros((2, 3, 3), bool)), Masks(np.zeros((2, 3, 4), bool)), ["size"]),
        (Boxes.empty(), Boxes(np.ones((1, 4), np.float32), np.array([0])), ["a"]),
        (
            Boxes(np.array([[0, 0, 1, 1], [2, 2, 3, 3]], np.float32), np.array([1, 1])),
            Boxes(np.array([[2, 2, 3, 3], [0, 0, 1, 1]], np.float32), np.array([1, 1])),
            [],  # in another order
        ),
        (
            Landmarks((np.ones((1, 2), np.float32),) * 2, np.array([SEEN, SEEN], np.int8)),
            Landmarks(
                (np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)),
                np.array([OFF, SEEN], np.int8),
            ),
            ["a", "b"],
        ),
    ],
)
def test_what_differs_between_two_targets(first, second, apart):
    assert leakage.differing_classes(first, second, ("a", "b")) == apart


def test_the_contact_sheet_has_forty_pairs_and_the_attribution(tmp_path):
    image.write_grey(tmp_path / "a.png", np.full((300, 100), 200, np.uint8))
    record = Record("train/ä", "g", "a.png", None, "train")
    pair = duplicates.SimilarPair(record, record, 0.961, False)
    assert contact_sheet.format_caption(pair) == (
        "r = 0.961   train | train   known",
        "train/ä",
        "train/ä",
    )
    sizes = {}
    for count in (1, contact_sheet.MOST, 3 * contact_sheet.MOST):
        contact_sheet.draw_pairs([pair] * count, tmp_path, "x", None, tmp_path / "new" / "s.png")
        sizes[count] = Image.open(tmp_path / "new" / "s.png").size
    assert (
        sizes[contact_sheet.MOST] == sizes[3 * contact_sheet.MOST]
        and sizes[1][1] < sizes[contact_sheet.MOST][1]
    )
    plain = (tmp_path / "new" / "s.png").read_bytes()
    contact_sheet.draw_pairs(
        [pair] * 3 * contact_sheet.MOST, tmp_path, "x", None, tmp_path / "again.png"
    )
    contact_sheet.draw_pairs(
        [pair] * 3 * contact_sheet.MOST, tmp_path, "x", "whose, CC BY 4.0", tmp_path / "named.png"
    )
    assert (tmp_path / "again.png").read_bytes() == plain
    assert (
        Image.open(tmp_path / "named.png").size[1]
        == sizes[contact_sheet.MOST][1] + contact_sheet.LINE
    )
    with pytest.raises(RunError, match="can't be written"):
        contact_sheet.draw_pairs([pair], tmp_path, "x", None, tmp_path / "a.png" / "s.png")
