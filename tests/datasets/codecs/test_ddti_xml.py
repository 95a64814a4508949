"""DDTI's XML: a file by hand, every kind of bad one, and the round trip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from usbench.datasets.codecs.ddti_xml import Case, read_case, write_case
from usbench.errors import DataError

TRIANGLE = '{"points": [{"x": 1, "y": 2}, {"x": 5, "y": 2}, {"x": 1, "y": 6}], "annotation": {}, '
REGION = TRIANGLE + '"regionType": "freehand"}'
HEAD = (
    "<case><number>67</number><age>59</age><sex>F</sex><composition>solid</composition>"
    "<echogenicity>marked hypoechogenicity</echogenicity><margins>well defined</margins>"
    "<calcifications>non</calcifications><tirads>4b</tirads><reportbacaf /><reporteco />"
)
CORNERS = [[1, 2], [5, 2], [1, 6]]


def mark(view: str, svg: str) -> str:
    return f"<mark><image>{view}</image><svg>{svg}</svg></mark>"


def save(path: Path, *marks: str) -> Path:
    path.write_text(f"{HEAD}{''.join(marks)}</case>")
    return path


def corners(case: Case) -> dict[str, list[object]]:
    return {view: [polygon.tolist() for polygon in case.outlines[view]] for view in case.outlines}


def test_read_by_hand(tmp_path):
    """View 1 has two marks, the second of two regions; nothing is drawn in view 2."""
    path = save(
        tmp_path / "67.xml",
        mark("1", f"[{REGION}]"),
        mark("1", f"[{REGION}, {REGION}]"),
        mark("2", "[]"),
        mark("3", " "),
        "<mark />",
    )
    case = read_case(path)
    assert case.tirads == "4b" and case.short_regions == 0 and not case.is_repaired
    assert corners(case) == {"1": [CORNERS] * 3, "2": []}


def test_a_region_of_two_points_is_left_out(tmp_path):
    short = '{"points": [{"x": 1, "y": 2}, {"x": 5, "y": 2}]}'
    case = read_case(save(tmp_path / "67.xml", mark("1", f"[{short}, {REGION}]")))
    assert corners(case) == {"1": [CORNERS]} and case.short_regions == 1


def test_a_known_end_is_added_where_it_lacks(tmp_path):
    end = 'pe": "freehand"}]'
    cut = f"[{REGION}]".removesuffix(end)
    case = read_case(save(tmp_path / "a.xml", mark("1", cut)), end)
    assert corners(case) == {"1": [CORNERS]} and case.is_repaired
    whole = read_case(save(tmp_path / "b.xml", mark("1", f"[{REGION}]")), end)
    assert corners(whole) == {"1": [CORNERS]} and not whole.is_repaired


def test_write_then_read(tmp_path):
    polygons = [np.array(CORNERS, np.int32), np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.int32)]
    write_case(tmp_path / "5.xml", "5", Case("3", {"1": polygons, "2": []}))
    case = read_case(tmp_path / "5.xml")
    assert corners(case) == {"1": [polygon.tolist() for polygon in polygons], "2": []}
    assert case.tirads == "3"
    text = (tmp_path / "5.xml").read_text()
    assert text.startswith("<case><number>5</number><age /><sex /><composition />")
    assert '<tirads>3</tirads><reportbacaf /><reporteco /><mark><image>1</image><svg>[{"po' in text


CUT = f"[{TRIANGLE}".replace('"y": 6}], "annotation": {}, ', "")


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        (mark("1", CUT), r"67.xml: mark 1: expected regions as JSON in <svg>, got a text cut off"),
        (mark("1", "{}"), r"mark 1: expected a list of regions, got {}; correct the file"),
        (mark("1", "[1]"), r"mark 1: expected a region with points, got 1"),
        (mark("1", '[{"points": [[1, 2]]}]'), r"expected a region with points, got {'points'"),
        (mark("left", f"[{REGION}]"), r"mark 1: expected the number of an image, got 'left'"),
        (
            mark("1", f"[{REGION}]".replace('"x": 5', '"x": null')),
            r"mark 1: expected points as \[x, y\] in px, got \[\[1, 2\], \[None, 2\]",
        ),
        ("<mark>", "67.xml: expected the XML of a DDTI case, got a file cut off or damaged"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, marks, message):
    with pytest.raises(DataError, match=message):
        read_case(save(tmp_path / "67.xml", marks))


def test_another_xml_is_refused(tmp_path):
    (tmp_path / "a.xml").write_text("<annotation></annotation>")
    with pytest.raises(DataError, match="DDTI case, got <annotation> for <case>"):
        read_case(tmp_path / "a.xml")
    (tmp_path / "b.xml").write_text("<!DOCTYPE case><case></case>")
    with pytest.raises(DataError, match="got a DOCTYPE or entity; remove it"):
        read_case(tmp_path / "b.xml")
