"""The images of a release with what their paths, a table and lists say; the tables themselves; and
problems as one error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.release_files import save_text
from usbench.datasets.layouts.case_tables import make_table, read_keyed_rows, write_rows
from usbench.datasets.layouts.image_files import FoundImage, ImageFiles
from usbench.datasets.layouts.path_templates import PathTemplate
from usbench.datasets.layouts.problems import Problems
from usbench.errors import ConfigError, DataError

IMAGES = "images/{patient:p\\d}_{n:\\d+}.png"
TABLE = {
    "file": "cases.csv",
    "key": "Name",
    "row": "{patient}_{n}",
    "attributes": {"age": "Age", "kind": "Pathology", "fold": "Fold", "side": "mm"},
}
HEADER = "Name,Age,Pathology,Fold,mm,Notes"
NAMES = ["p1_1", "p1_2", "p2_1", "p3_1"]
ROWS = [
    "p1_1,50,benign,0,0.1,",
    "p1_2,50,malignant,0,0.1,",
    "p2_1,,benign,1,,seen twice",
    "p3_1,7 , benign,2,.25,",
]


def touch(root: Path, *paths: str) -> None:
    """Files without content."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    touch(tmp_path, *(f"images/{name}.png" for name in NAMES))
    save_text(tmp_path / "cases.csv", HEADER, *ROWS)
    return tmp_path


def by_id(images: list[FoundImage]) -> dict[str, FoundImage]:
    return {image.id: image for image in images}


def records(files: ImageFiles, root: Path) -> list[Any]:
    images = files.find(root)
    return files.records(filter(files.is_used, images), dict.fromkeys(by_id(images)))


# ---- paths and groups


def test_ids_and_attributes_are_the_path_s_fields(root):
    images = ImageFiles(IMAGES).find(root)
    assert [image.id for image in images] == ["p1/1", "p1/2", "p2/1", "p3/1"]
    assert images[0].path == "images/p1_1.png" and images[0].split is None
    assert images[0].attributes == {"patient": "p1", "n": "1"}


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        (None, ["p1/1", "p1/2", "p2/1", "p3/1"]),
        ("patient", ["p1", "p1", "p2", "p3"]),
        ("kind", ["benign", "malignant", "benign", "benign"]),
    ],
)
def test_groups(root, group_by, groups):
    files = ImageFiles(IMAGES, table=TABLE, group_by=group_by)
    assert [record.group for record in records(files, root)] == groups


def test_an_image_without_its_group_is_refused(root):
    files = ImageFiles(IMAGES, table=TABLE, group_by="age")
    with pytest.raises(DataError, match=r"images/p2_1.png: expected a age for its group, got none"):
        records(files, root)


@pytest.mark.parametrize("left_out", ["p1/2", "p3"])
def test_ids_and_groups_are_left_out(root, left_out):
    files = ImageFiles(IMAGES, group_by="patient", leave_out=[left_out])
    names = {record.id for record in records(files, root)}
    assert names == {"p1/1", "p2/1", "p3/1", "p1/2"} - {left_out, f"{left_out}/1"}
    assert len(names) == 3


def test_labels_among_the_images_are_none(root):
    touch(root, "images/p1_1_mask.png")
    files = ImageFiles("images/{name}.png")
    assert len(files.find(root)) == 5
    found = files.find(root, [PathTemplate("images/{name}_mask.png")])
    assert [image.id for image in found] == NAMES


def test_no_image_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    message = f"{tmp_path}: expected images such as {IMAGES}, found none; is this another release"
    with pytest.raises(DataError, match=re.escape(message)):
        ImageFiles(IMAGES).find(tmp_path)


def test_an_id_that_comes_twice_is_refused(root):
    touch(root, "images/p1_1.PNG")
    with pytest.raises(DataError, match=r"expected an id of its own, got 'p1/1' twice"):
        records(ImageFiles(IMAGES), root)


# ---- split words


WORDS = {"train": "TrainSet", "val": "ValSet", "test": "TestSet"}


def test_a_folder_s_word_stands_for_a_split(tmp_path):
    touch(tmp_path, "TrainSet/1.png", "TrainSet/2.png", "ValSet/1.png", "TestSet/1.png")
    files = ImageFiles("{split}/{n}.png", splits=WORDS)
    images = files.find(tmp_path)
    assert {image.id: image.split for image in images} == {
        "train/1": "train",
        "train/2": "train",
        "val/1": "val",
        "test/1": "test",
    }
    assert images[0].path == "TestSet/1.png" and "split" not in images[0].attributes


def test_a_missing_split_s_folder_is_refused(tmp_path):
    touch(tmp_path, "TrainSet/1.png", "ValSet/1.png")
    with pytest.raises(DataError, match=r"TestSet: expected a folder with TestSet/{n}.png, got no"):
        ImageFiles("{split}/{n}.png", splits=WORDS).find(tmp_path)


# ---- the table


def test_the_table_s_cells_become_attributes(root):
    files = ImageFiles(
        IMAGES, table=TABLE, group_by="patient", fold_by="fold", folds=3, mm_per_px="side"
    )
    first, second, third, last = records(files, root)
    assert first.attributes == {
        "patient": "p1", "n": "1", "age": "50", "kind": "benign", "fold": "0", "side": "0.1",
    }  # fmt: skip
    assert second.attributes["kind"] == "malignant" and last.attributes["kind"] == "benign"
    assert [record.mm_per_px for record in (first, third, last)] == [(0.1, 0.1), None, (0.25, 0.25)]
    assert first.folds == second.folds == ("test", "train", "val")
    assert third.folds == ("val", "test", "train")
    assert files.shared_files() == ["cases.csv"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, *ROWS[1:]], r"p1_1.png: expected a row 'p1_1' in cases.csv, found none"),
        (
            [HEADER, *ROWS, "p9_1,1,benign,1,,"],
            r"cases.csv: expected an image for the row 'p9_1', found none",
        ),
        (
            [HEADER, *ROWS, ROWS[0]],
            r"cases.csv: line 6: expected every image once, got 'p1_1' again",
        ),
        ([HEADER, *ROWS[:3], "p3_1,7"], r"line 5: expected as many cells as columns, got others"),
        ([HEADER, *ROWS[:3], f"{ROWS[3]},,more"], r"line 5: expected as many cells as columns"),
        (["Name,Age", "p1_1,50"], r"expected a table of images by Name with .* found no Pathology"),
        (
            [HEADER, *ROWS[2:]],
            r"^2 problems: \(1\) .*p1_1.png: .* \(2\) .*p1_2.png: expected a row",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused(root, lines, message):
    save_text(root / "cases.csv", *lines)
    with pytest.raises(DataError, match=message):
        ImageFiles(IMAGES, table=TABLE).find(root)


def test_a_missing_table_is_refused(root):
    (root / "cases.csv").unlink()
    with pytest.raises(
        DataError, match=r"cases.csv: expected a table of images by Name, found no su"
    ):
        ImageFiles(IMAGES, table=TABLE).find(root)


@pytest.mark.parametrize("text", ["3", "-1", "x", "", "1.0"])
def test_a_fold_that_is_none_is_refused(root, text):
    save_text(root / "cases.csv", HEADER, *ROWS[:3], f"p3_1,7,benign,{text},.25,")
    files = ImageFiles(IMAGES, table=TABLE, fold_by="fold", folds=3)
    with pytest.raises(
        DataError, match=rf"p3_1.png: expected a fold of 0 to 2 as fold, got '{text}'"
    ):
        records(files, root)


@pytest.mark.parametrize("text", ["0", "-0.1", "100", "nan", "0,1 mm", "1_0"])
def test_a_pixel_size_that_is_none_is_refused(root, text):
    save_text(root / "cases.csv", HEADER, *ROWS[:3], f'p3_1,7,benign,2,"{text}",')
    files = ImageFiles(IMAGES, table=TABLE, mm_per_px="side")
    with pytest.raises(DataError, match=rf"p3_1.png: expected mm per pixel as side, got '{text}'"):
        records(files, root)


# ---- lists


LISTS = {"train": "lists/train.txt", "val": "lists/val.txt", "test": "lists/test.txt"}


def write_lists(root: Path, train: list[str], val: list[str], test: list[str]) -> None:
    for split, names in (("train", train), ("val", val), ("test", test)):
        save_text(root / LISTS[split], *names)


@pytest.mark.parametrize("form", ["{}", "{}.png", "images/{}.png", "  {}  "])
def test_lists_name_files_with_or_without_folder_and_suffix(root, form):
    write_lists(root, [form.format("p1_1"), "", form.format("p2_1")], ["p1_2"], ["p3_1"])
    files = ImageFiles(IMAGES, lists=LISTS)
    assert {image.id: image.split for image in files.find(root)} == {
        "p1/1": "train",
        "p1/2": "val",
        "p2/1": "train",
        "p3/1": "test",
    }
    assert files.shared_files() == list(LISTS.values())


def test_a_line_may_name_all_of_a_patient(root):
    write_lists(root, ["p1"], ["p2"], ["p3"])
    files = ImageFiles(IMAGES, lists=LISTS, listed="{patient}", group_by="patient")
    splits = {record.id: record.split for record in records(files, root)}
    assert splits == {"p1/1": "train", "p1/2": "train", "p2/1": "val", "p3/1": "test"}


def test_lists_of_other_systems_line_ends(root):
    save_text(root / LISTS["train"], "p1_1", "p1_2", end="\r\n")
    (root / LISTS["val"]).write_bytes(b"\xef\xbb\xbfp2_1")  # a byte order mark, no last line end
    save_text(root / LISTS["test"], "p3_1", end="\r")
    splits = [image.split for image in ImageFiles(IMAGES, lists=LISTS).find(root)]
    assert splits == ["train", "train", "val", "test"]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            (["p1_1"], ["p2_1"], ["p3_1"]),
            r"images/p1_2.png: expected it in one of lists/train.txt, .*, found it in none",
        ),
        (
            (["p1_1", "p1_2", "p1_1"], ["p2_1"], ["p3_1"]),
            r"lists/train.txt: line 3: expected every image once, got 'p1_1' again",
        ),
        (
            (["p1_1", "p1_2"], ["p2_1"], ["p3_1", "p1_2"]),
            r"lists/test.txt: line 2: expected every image once, got 'p1_2' again",
        ),
        (
            (["p1_1", "p1_2", "p9_1"], ["p2_1"], ["p3_1"]),
            r"lists/train.txt: line 3: expected the name of an image, got 'p9_1'",
        ),
    ],
    ids=["lacking", "repeated", "in two lists", "absent"],
)
def test_lists_that_do_not_fit_are_refused(root, lists, message):
    write_lists(root, *lists)
    with pytest.raises(DataError, match=message):
        ImageFiles(IMAGES, lists=LISTS).find(root)


def test_known_absent_names_are_counted(root):
    write_lists(root, ["p1_1", "p1_2", "p9_1"], ["p2_1", "p9_2"], ["p3_1"])
    assert len(ImageFiles(IMAGES, lists=LISTS, absent_names=2).find(root)) == 4
    with pytest.raises(DataError, match=r"^2 problems: .*'p9_1'.*'p9_2'"):
        ImageFiles(IMAGES, lists=LISTS, absent_names=1).find(root)


def test_a_missing_list_is_refused(root):
    write_lists(root, ["p1_1", "p1_2"], ["p2_1"], ["p3_1"])
    (root / LISTS["val"]).unlink()
    with pytest.raises(
        DataError, match=r"lists/val.txt: expected names of images, one a line, found"
    ):
        ImageFiles(IMAGES, lists=LISTS).find(root)


# ---- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"images": "{split}/{n}.png"},
            r"images={split}/{n}.png: expected {split} in it, and splits",
        ),
        (
            {"images": IMAGES, "splits": WORDS},
            r"expected {split} in it, and splits with the folder",
        ),
        (
            {"images": "{split}/{n}.png", "splits": {"dev": "dev"}},
            r"splits={'dev': 'dev'}: expected folders of train, val, test",
        ),
        ({"images": "../{n}.png"}, r"'../{n}.png': expected a path below the release's folder"),
        (
            {"images": IMAGES, "group_by": "woman"},
            r"group_by=woman: expected a field of the path or an attribute .* \(n, patient\)",
        ),
        (
            {"images": IMAGES, "table": TABLE, "mm_per_px": "mm"},
            r"mm_per_px=mm: expected .* of the table \(age, fold, kind, n, patient, side\)",
        ),
        (
            {"images": IMAGES, "fold_by": "fold"},
            r"fold_by=fold: expected a field of the path or an",
        ),
        (
            {"images": IMAGES, "table": {"file": "cases.csv", "key": "Name", "columns": {}}},
            r"table: expected attributes, file, key, row, got file, key, columns",
        ),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ImageFiles(**settings)


# ---- tables


def test_cells_are_read_as_spreadsheets_save_them(tmp_path):
    text = '\ufeffName;Age\r\n p1 ;7\r\n"p;2";\r\n'
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert read_keyed_rows(tmp_path / "a.csv", "Name", ("Name", "Age")) == {
        "p1": {"Name": "p1", "Age": "7"},
        "p;2": {"Name": "p;2", "Age": ""},
    }


def test_rows_are_read_as_written(tmp_path):
    table = make_table(TABLE)
    row = {"Name": "p1_1", "Age": "7", "Pathology": 'so-called "cyst", old', "Fold": "1", "mm": ""}
    table.write(tmp_path, [row, {**row, "Name": "p1_2", "Other": "not a column of it"}])
    assert table.read(tmp_path) == {"p1_1": row, "p1_2": {**row, "Name": "p1_2"}}
    head = (tmp_path / "cases.csv").read_text().splitlines()[0]
    assert head == "Name,Age,Pathology,Fold,mm"


def test_folders_of_a_table_are_made(tmp_path):
    write_rows(tmp_path / "tables/a.csv", ("Name",), [{"Name": "p1"}])
    assert (tmp_path / "tables/a.csv").read_text() == "Name\np1\n"


# ---- problems


def test_no_problem_raises_nothing():
    assert Problems().raise_any() is None


@pytest.mark.parametrize(
    ("count", "start", "end"),
    [
        (1, "problem 1", "problem 1"),
        (2, "2 problems: (1) problem 1 (2) problem 2", "(2) problem 2"),
        (10, "10 problems: (1) problem 1 (2)", "(10) problem 10"),
        (11, "11 problems, the first 10: (1) problem 1 (2)", "(10) problem 10"),
    ],
)
def test_problems_are_one_error(count, start, end):
    problems = Problems()
    for number in range(1, count + 1):
        problems.add(f"problem {number}")
    with pytest.raises(DataError) as error:
        problems.raise_any()
    assert str(error.value).startswith(start) and str(error.value).endswith(end)
