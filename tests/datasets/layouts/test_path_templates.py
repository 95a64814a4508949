"""Path templates: what matches, what they find, and that fill and match are inverse."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usbench.datasets.layouts.path_templates import PathTemplate, join_fields, split_id
from usbench.errors import ConfigError, DataError


def touch(root: Path, *paths: str) -> None:
    """Files without content."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


# ---- matching


@pytest.mark.parametrize(
    ("template", "path", "fields"),
    [
        ("Images/bus_{id}.png", "Images/bus_0001-l.png", {"id": "0001-l"}),
        ("Images/bus_{id}.png", "Images/bus_0001-l.PNG", {"id": "0001-l"}),
        ("Images/bus_{id}.png", "Images/bus_a b (1).png", {"id": "a b (1)"}),
        ("Images/bus_{id}.png", "images/bus_0001-l.png", None),
        ("Images/bus_{id}.png", "Images/more/bus_1.png", None),
        ("Images/bus_{id}.png", "Images/bus_.png", None),
        ("Images/bus_{id}.png", "Images/bus_1.png.png", {"id": "1.png"}),
        ("Images/bus_{id}.png", "Images/bus_1xpng", None),
        ("a+b (1)/{n}.png", "a+b (1)/7.png", {"n": "7"}),
        ("a+b (1)/{n}.png", "aab 1/7.png", None),
        ("{p:\\d+}_{n:\\d+}.tif", "12_3.tif", {"p": "12", "n": "3"}),
        ("{p:\\d+}_{n:\\d+}.tif", "12_3_mask.tif", None),
        ("{view:2CH|4CH}/{view}_{n}.png", "2CH/2CH_1.png", {"view": "2CH", "n": "1"}),
        ("{view:2CH|4CH}/{view}_{n}.png", "2CH/4CH_1.png", None),
        ("{view:2CH|4CH}/{view}_{n}.png", "3CH/3CH_1.png", None),
        ("{id}_mask*.png", "a_mask.png", {"id": "a"}),
        ("{id}_mask*.png", "a_mask_1.png", {"id": "a"}),
        ("{id}_mask*.png", "a.png", None),
        ("*/{id}.png", "any folder/a.png", {"id": "a"}),
        ("{id}.{:png|jpg}", "a.JPG", {"id": "a"}),
        ("{id}.{:png|jpg}", "a.gif", None),
        ("{p}/{p}_{phase:ED|ES}_gt.nii.gz", "p1/p1_ED_gt.nii.gz", {"p": "p1", "phase": "ED"}),
        ("{p}/{p}_{phase:ED|ES}.nii.gz", "p1/p1_ED_gt.nii.gz", None),
    ],
)
def test_what_a_template_matches(template, path, fields):
    assert PathTemplate(template).match(path) == fields


def test_one_of_several_words_is_the_first_of_them_and_no_field():
    template = PathTemplate("{kind:ill|well}/{id}.{:png|jpg}")
    assert template.fields == ("kind", "id")
    assert template.fill({"kind": "ill", "id": "7"}) == "ill/7.png"
    assert template.words() == {"kind": "ill", "id": "id"}


def test_other_folders_than_the_listed_words_may_be_skipped(tmp_path):
    touch(tmp_path, "ill/1.png", "odd/2.png")
    template = PathTemplate("{kind:ill|well}/{id}.png")
    with pytest.raises(DataError, match="expected a folder ill, well for kind, got 'odd'"):
        template.find(tmp_path)
    template.skips_others = True
    assert [file.path for file in template.find(tmp_path)] == ["ill/1.png"]


def test_fields_are_named_once_in_their_order():
    assert PathTemplate("{b}/{a:x|y}/{b}_*{c}.png").fields == ("b", "a", "c")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"kind": "benign", "n": "1"}, "data/benign/1_mask.png"),
        ({"kind": "benign"}, "data/benign/*_mask.png"),  # for a message
        ({}, "data/*/*_mask.png"),
    ],
)
def test_filling(fields, path):
    assert PathTemplate("data/{kind:benign|normal}/{n:\\d+}_mask*.png").fill(fields) == path


WORDS = st.text("abz019 .+()-", min_size=1)
NUMBERS = st.integers(0, 10**6).map(str)
INVERSE = {
    "Images/bus_{id}.png": {"id": WORDS},
    "{kind:benign|malignant|normal}/image/{n:\\d+}.jpg": {
        "kind": st.sampled_from(["benign", "malignant", "normal"]),
        "n": NUMBERS,
    },
    "{p:\\d+}_{n:\\d+}.tif": {"p": NUMBERS, "n": NUMBERS},
    "nifti/{p}/{p}_{view:2CH|4CH}_{phase:ED|ES}_gt.nii.gz": {
        "p": WORDS,
        "view": st.sampled_from(["2CH", "4CH"]),
        "phase": st.sampled_from(["ED", "ES"]),
    },
    "[x] {a}/{b}/{a}^{b}$.bmp": {"a": WORDS, "b": WORDS},
}


@pytest.mark.parametrize("text", INVERSE)
@given(data=st.data())
def test_fill_and_match_are_inverse(text, data):
    template = PathTemplate(text)
    fields = data.draw(st.fixed_dictionaries(INVERSE[text]))
    path = template.fill(fields)
    assert template.match(path) == fields
    assert template.fill(template.match(path)) == path


# ---- bad templates


@pytest.mark.parametrize("text", ["", "/etc/{id}.png", "../{id}.png", "images/../../{id}.png"])
def test_a_path_that_leaves_the_release_is_refused(text):
    with pytest.raises(ConfigError, match=r"expected a path below the release's folder"):
        PathTemplate(text)


@pytest.mark.parametrize("text", ["{id:[0-9}.png", "{id:(}.png", "{1st}.png", "{id:*}.png"])
def test_a_field_without_a_regular_expression_is_refused(text):
    with pytest.raises(ConfigError, match=re.escape(f"{text!r}: expected regular expressions in")):
        PathTemplate(text)


# ---- finding


def test_files_are_found_in_order_of_path(tmp_path):
    touch(tmp_path, "data/b/2.png", "data/a/10.png", "data/a/9.PNG", "data/a/notes.txt")
    found = PathTemplate("data/{kind}/{n:\\d+}.png").find(tmp_path)
    assert [file.path for file in found] == ["data/a/10.png", "data/a/9.PNG", "data/b/2.png"]
    assert found[0].fields == {"kind": "a", "n": "10"}


def test_only_files_of_the_template_s_depth_are_found(tmp_path):
    touch(tmp_path, "data/1.png", "data/a/2.png", "data/a/more/3.png")
    (tmp_path / "data/a/4.png").mkdir()
    assert [file.path for file in PathTemplate("data/{kind}/{n}.png").find(tmp_path)] == [
        "data/a/2.png"
    ]
    assert [file.path for file in PathTemplate("{top}/{kind}/{n}.png").find(tmp_path)] == [
        "data/a/2.png"
    ]


def test_hidden_files_and_folders_are_junk_of_archives(tmp_path):
    touch(tmp_path, "a/1.png", "a/._1.png", ".a/2.png", "__MACOSX/a/._1.png", "__MACOSX/._a")
    assert [file.path for file in PathTemplate("{kind:a|b}/{n}.png").find(tmp_path)] == ["a/1.png"]


def test_a_folder_that_is_none_of_the_listed_words_is_refused(tmp_path):
    touch(tmp_path, "Benign/image/1.jpg", "Cyst/image/1.jpg")
    template = PathTemplate("{kind:Benign|Malignant}/image/{n:\\d+}.jpg")
    message = "Cyst/image/1.jpg: expected a folder Benign, Malignant for kind, got 'Cyst'; move it"
    with pytest.raises(DataError, match=message):
        template.find(tmp_path)


def test_a_listed_word_in_a_file_s_name_is_only_a_pattern(tmp_path):
    touch(tmp_path, "p1/p1_ED.png", "p1/p1_half_sequence.png")
    found = PathTemplate("{p}/{p}_{phase:ED|ES}.png").find(tmp_path)
    assert [file.path for file in found] == ["p1/p1_ED.png"]


@pytest.mark.parametrize(
    ("made", "got"), [(None, "no such folder"), ("file", "a file")], ids=["missing", "a file"]
)
def test_a_missing_folder_is_refused(tmp_path, made, got):
    if made:
        touch(tmp_path, "data/images")
    message = f"{tmp_path}/data/images: expected a folder with data/images/{{id}}.png, got {got}"
    with pytest.raises(DataError, match=re.escape(message)):
        PathTemplate("data/images/{id}.png").find(tmp_path)


def test_no_file_is_no_error(tmp_path):
    (tmp_path / "images").mkdir()
    assert PathTemplate("images/{id}.png").find(tmp_path) == []


@pytest.mark.parametrize("name", [b"a\x1b[31m.png", b"a\xff.png", b"a\nb.png"])
def test_names_that_are_no_plain_text_are_refused(tmp_path, name):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / os.fsdecode(name)).touch()
    with pytest.raises(DataError, match=r"expected file names in UTF-8 without control char") as e:
        PathTemplate("images/{id}.png").find(tmp_path)
    assert str(e.value).isprintable()


# ---- ids


def test_ids_join_the_fields():
    template = PathTemplate("{kind}/{patient}_{n}.png")
    fields = {"n": "3", "kind": "benign", "patient": "p1"}
    assert join_fields(template, fields) == "benign/p1/3"
    assert split_id("benign/p1/3", template.fields) == fields


@pytest.mark.parametrize(("identity", "parts"), [("3", 1), ("a/b/3", 3)])
def test_an_id_of_other_parts_is_refused(identity, parts):
    message = f"sample {identity}: expected an id of kind/n, got {parts} parts"
    with pytest.raises(DataError, match=message):
        split_id(identity, ("kind", "n"))
