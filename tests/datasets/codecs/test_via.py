"""VIA's CSV, its polygons and the transducer table: files by hand, every kind of bad one, and round
trips.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from usbench.datasets.codecs import pixel_sizes, polygons, via
from usbench.errors import DataError

LABELS = ("Capsule", "Cortex")
HEAD = (
    "filename,file_size,file_attributes,region_count,region_id,"
    "region_shape_attributes,region_attributes"
)
FACTS = {"Quality": "Fair", "View": "Transverse", "Comments": 'a "dark", one'}


def quoted(value: object) -> str:
    return '"' + (value if isinstance(value, str) else json.dumps(value)).replace('"', '""') + '"'


def line(
    name: str = "1_a.png",
    shape: object = None,
    label: object = None,
    region: int = 0,
    facts: object = None,
) -> str:
    shape = polygon([1, 4, 4], [1, 1, 3]) if shape is None else shape
    cells = [
        quoted(facts or FACTS),
        "1",
        str(region),
        quoted(shape),
        quoted(label or {"Anatomy": "Capsule"}),
    ]
    return ",".join([name, "900", *cells])


def polygon(xs: list, ys: list) -> dict[str, object]:
    return {"name": "polygon", "all_points_x": xs, "all_points_y": ys}


def lay(folder: Path, *lines: str, head: str = HEAD) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def read(path: Path, rects: int = 0) -> via.ViaExport:
    return via.read_via(path, "Anatomy", LABELS, rects)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("via")


def test_read_by_hand(tmp_path):
    cortex = line(
        shape=polygon([0, 2.5, 2, 0], [0, 0, 2.4, 2]), label={"Anatomy": "Cortex"}, region=1
    )
    bare = ",".join(["2_b.png", "700", quoted({"Quality": "Poor"}), "0", "0", '"{}"', '"{}"'])
    actual = read(lay(tmp_path, line(), cortex, bare))
    assert list(actual.entries) == ["1_a.png", "2_b.png"] and not actual.oddities
    first, second = actual.entries["1_a.png"].regions
    assert first.label == "Capsule" and first.polygon.tolist() == [[1, 1], [4, 1], [4, 3]]
    assert second.label == "Cortex" and second.polygon.tolist() == [
        [0, 0],
        [3, 0],
        [2, 2],
        [0, 2],
    ]  # 2.5 → 3, 2.4 → 2
    assert actual.entries["1_a.png"].attributes == FACTS
    assert actual.entries["2_b.png"] == via.ViaImage({"Quality": "Poor"}, ())


def test_write_by_hand(tmp_path):
    region = via.ViaRegion("Capsule", np.array([[1, 1], [4, 1], [4, 3]], np.int32))
    entries = {
        "1_a.png": via.ViaImage({"View": "Other"}, (region,)),
        "2_b.png": via.ViaImage({}, ()),
    }
    via.write_via(tmp_path / "a.csv", entries, "Anatomy", {"1_a.png": 12, "2_b.png": 34})
    shape = '{""name"":""polygon"",""all_points_x"":[1,4,4],""all_points_y"":[1,1,3]}'
    assert (tmp_path / "a.csv").read_text() == (
        f"{HEAD}\n"
        f'1_a.png,12,"{{""View"":""Other""}}",1,0,"{shape}","{{""Anatomy"":""Capsule""}}"\n'
        "2_b.png,34,{},0,0,{},{}\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace(HEAD, HEAD.replace(",", ";"))
        .replace("1_a.png,900,", "1_a.png;900;")
        .replace(',1,0,"', ';1;0;"')
        .replace('}","{', '}";"{'),
    ],
    ids=["byte order mark", "carriage returns", "no last line end", "semicolons"],
)  # fmt: skip
def test_a_spreadsheet_s_way_of_saving_is_understood(tmp_path, change):
    plain = read(lay(tmp_path, line()))
    path = tmp_path / "saved.csv"
    path.write_text(change((tmp_path / "labels.csv").read_text()), encoding="utf-8", newline="")
    again = read(path)
    assert again.entries.keys() == plain.entries.keys()
    assert again.entries["1_a.png"].attributes == FACTS
    assert np.array_equal(
        again.entries["1_a.png"].regions[0].polygon, plain.entries["1_a.png"].regions[0].polygon
    )


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([line(shape=polygon([1, 4], [1, 1]))], "3 vertices or more, got 2"),
        ([line(shape=polygon([1, 4, 4], [1, 1]))], "as many x as y"),
        ([line(shape={"name": "polygon", "all_points_x": [1, 2, 3]})], "as many x as y"),
        ([line(shape=polygon([1, "4", 4], [1, 1, 3]))], "vertices in the image, in px, got '4'"),
        ([line(shape=polygon([1, True, 4], [1, 1, 3]))], "got True"),
        ([line(shape=polygon([1, -7, 4], [1, 1, 3]))], "got -7"),
        ([line(shape=polygon([1, 10**400, 4], [1, 1, 3]))], "vertices in the image"),
        (
            [line(shape='{"name":"polygon","all_points_x":[1,NaN,2],"all_points_y":[1,2,3]}')],
            "got None",
        ),
        (
            [line(shape='{"name":"polygon","all_points_x":[1,1e999,2],"all_points_y":[1,2,3]}')],
            "got inf",
        ),
        (
            [line(shape='{"name":"polygon","all_points_x":[1,')],
            "region_shape_attributes, got .* cut off",
        ),
        ([line(shape="[1]")], "a JSON object"),
        ([line(shape="[" * 100_000)], "cut off or damaged"),
        (
            [line(shape={"name": "circle", "cx": 3, "cy": 4, "r": 2})],
            "expected a polygon, got 'circle'",
        ),
        (
            [line(shape={"name": "rect", "x": 0, "y": 0, "width": 3, "height": 3})],
            "got a rect .*0 are a known",
        ),
        ([line(label={"Anatomy": "Liver"})], "expected Capsule, Cortex as Anatomy, got 'Liver'"),
        ([line(label={"Organ": "Cortex"})], "as Anatomy, got none"),
        ([line(label={"Anatomy": ["Cortex"]})], "expected text as Anatomy"),
        ([line(), line()], "line 3 .*every row once, got that of line 2"),
        (["1_a.png,900"], "7 cells, got others"),
        ([line() + ",8"], "7 cells, got others"),
        ([line(name="")], "expected a file name"),
    ],
)
def test_a_bad_file_is_refused_with_one_line(tmp_path, lines, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read(lay(tmp_path, *lines))
    assert "\n" not in str(caught.value) and "labels.csv" in str(caught.value)


def test_no_such_table_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"labels\.csv: expected a VIA annotation export .* found no such file"
    ):
        read(tmp_path / "labels.csv")
    with pytest.raises(DataError, match="found no region_id"):
        read(lay(tmp_path, head=HEAD.replace("region_id", "region")))
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        read(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_bytes((HEAD + "\n" + "a" * 200_000).encode())
    with pytest.raises(DataError, match="damaged CSV"):
        read(tmp_path / "labels.csv")


def test_a_known_rectangle_is_ignored_and_counted_and_one_more_is_an_error(tmp_path):
    rect = {"name": "rect", "x": 0, "y": 0, "width": 3, "height": 3}
    path = lay(tmp_path, line(shape=rect), line(name="2_b.png", shape={**rect, "x": 1}))
    actual = read(path, rects=2)
    assert actual.oddities == {"rectangles, ignored": 2} and not actual.entries["1_a.png"].regions
    with pytest.raises(
        DataError, match=r"line 3 \(2_b.png\): expected polygons, got a rect \(2 in the file; 1 are"
    ):
        read(path, rects=1)


def test_an_image_drawn_twice_under_one_name_keeps_all_its_polygons(tmp_path):
    other = line(shape=polygon([7, 9, 9], [7, 7, 9]), facts={**FACTS, "View": "Other"})
    actual = read(lay(tmp_path, line(), other))
    assert (
        len(actual.entries["1_a.png"].regions) == 2
        and actual.entries["1_a.png"].attributes == FACTS
    )
    assert sorted(actual.oddities.values()) == [1, 1]


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"{HEAD}\n{text}".encode()))
def test_any_bytes_give_values_or_our_error(scratch, content):
    path = scratch / "any.csv"
    path.write_bytes(content)
    try:
        actual = read(path)
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(actual, via.ViaExport)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["name", "all_points_x", "all_points_y", "Anatomy"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON, JSON, JSON)
def test_any_json_in_the_cells_gives_values_or_our_error(scratch, facts, shape, label):
    cells = [
        quoted(json.dumps(facts)),
        "1",
        "0",
        quoted(json.dumps(shape)),
        quoted(json.dumps(label)),
    ]
    path = lay(scratch, ",".join(["1_a.png", "3", *cells]))
    try:
        assert len(read(path, rects=1).entries) == 1
    except DataError as error:
        assert "\n" not in str(error)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=8)
VERTICES = arrays(np.int32, st.tuples(st.integers(3, 6), st.just(2)), elements=st.integers(0, 5000))
REGIONS = st.builds(via.ViaRegion, st.sampled_from(LABELS), VERTICES)
ENTRIES = st.builds(
    via.ViaImage,
    st.dictionaries(NAMES, st.text(max_size=8)),
    st.lists(REGIONS, max_size=3).map(tuple),
)


@given(st.dictionaries(NAMES, ENTRIES, max_size=4))
def test_what_is_written_is_read_back(scratch, entries):
    via.write_via(scratch / "round.csv", entries, "Anatomy", dict.fromkeys(entries, 7))
    actual = read(scratch / "round.csv").entries
    assert list(actual) == list(entries)
    for name, entry in entries.items():
        assert actual[name].attributes == entry.attributes
        assert [region.label for region in actual[name].regions] == [
            region.label for region in entry.regions
        ]
        assert all(
            map(np.array_equal, *([r.polygon for r in e.regions] for e in (actual[name], entry)))
        )


# ---- polygons


def picture(*rows: str) -> np.ndarray:
    return np.array([[mark == "1" for mark in row] for row in rows])


def test_filling_takes_the_outline_s_pixels_too():
    square = np.array([[1, 1], [3, 1], [3, 2], [1, 2]], np.int32)
    assert np.array_equal(
        polygons.fill_polygons([square], (4, 5)), picture(".....", ".111.", ".111.", ".....")
    )
    triangle = np.array([[0, 0], [4, 0], [0, 4]], np.int32)
    assert np.array_equal(
        polygons.fill_polygons([triangle], (5, 5)),
        picture("11111", "1111.", "111..", "11...", "1...."),
    )  # fmt: skip


def test_overlapping_polygons_are_united_and_do_not_cancel():
    first, second = (np.array([[a, 0], [a + 2, 0], [a + 2, 2], [a, 2]], np.int32) for a in (0, 1))
    assert np.array_equal(
        polygons.fill_polygons([first, second], (3, 4)), picture("1111", "1111", "1111")
    )


def test_what_lies_outside_is_cut_off():
    square = np.array([[2, 1], [9, 1], [9, 9], [2, 9]])
    assert np.array_equal(polygons.fill_polygons([square], (3, 4)),
                          picture("....", "..11", "..11"))  # fmt: skip


@given(arrays(bool, (9, 11)))
def test_outlines_give_planes_without_holes_back(plane):
    solid = ndimage.binary_fill_holes(plane)
    outlines = polygons.trace_outlines(solid)
    assert all(len(outline) >= 3 for outline in outlines)
    assert np.array_equal(polygons.fill_polygons(outlines, (9, 11)), solid)


def test_a_bow_tie_crosses_itself_and_a_square_does_not():
    assert polygons.crosses_itself(np.array([[0, 0], [4, 4], [4, 0], [0, 4]], np.int32))
    assert not polygons.crosses_itself(np.array([[0, 0], [4, 0], [4, 4], [0, 4]], np.int32))
    assert not polygons.crosses_itself(
        np.array([[0, 0], [4, 0], [4, 0], [0, 4]], np.int32)
    )  # a vertex twice


# ---- the transducer table


def book(path: Path, *rows: list) -> Path:
    workbook = openpyxl.Workbook()
    for row in rows:
        workbook.worksheets[0].append(row)
    workbook.save(path)
    return path


COLUMNS = ["Filename", "Manufacturer", "Physical Delta X", "Physical Delta Y"]


def test_spacings_by_hand(tmp_path):
    rows = [
        ["1_a", "x", 0.02, 0.03],
        ["2_b", "ACUSON", 1, 1],
        ["3_c", "x", -0.025, 0.025],
        ["4_d", "x", "n/a", 0.02],
    ]
    actual = pixel_sizes.read_transducers(
        book(tmp_path / "t.xlsx", COLUMNS, *rows, [None, None, None, None])
    )
    assert actual == {
        "1_a": pytest.approx((0.3, 0.2)),
        "2_b": None,
        "3_c": pytest.approx((0.25, 0.25)),
        "4_d": None,
    }


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([COLUMNS[:3]], "found no Physical Delta Y"),
        (
            [COLUMNS, ["1_a", "x", 0.02, 0.02], ["1_a", "x", 0.02, 0.02]],
            "one row per image, got '1_a' twice",
        ),
        ([], "found no Filename"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, rows, reason):
    with pytest.raises(DataError, match=reason):
        pixel_sizes.read_transducers(book(tmp_path / "t.xlsx", *rows))


def test_no_table_is_refused(tmp_path):
    for content in (b"", b"PK\x03\x04 cut off", b"Filename,Physical Delta X\n"):
        (tmp_path / "t.xlsx").write_bytes(content)
        with pytest.raises(DataError, match="got a file that can't be read"):
            pixel_sizes.read_transducers(tmp_path / "t.xlsx")


@settings(max_examples=50)
@given(st.integers(0, 4000), st.integers(0, 255))
def test_a_damaged_table_gives_values_or_our_error(scratch, place, byte):
    path = scratch / "t.xlsx"
    pixel_sizes.write_transducers(path, {"1_a": (0.3, 0.2)})
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content)
    try:
        pixel_sizes.read_transducers(path)
    except DataError as error:
        assert "\n" not in str(error)


def test_the_same_spacings_give_the_same_bytes(tmp_path):
    spacings = {"1_a": (0.3, 0.2), "2_b": None}
    for name in ("a.xlsx", "b.xlsx"):
        pixel_sizes.write_transducers(tmp_path / name, spacings)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    assert pixel_sizes.read_transducers(tmp_path / "a.xlsx") == {
        "1_a": pytest.approx((0.3, 0.2)),
        "2_b": None,
    }
