"""DDTI, written by hand. Evidence: ssithimo/thyroid-vision-ml@3d2e9253
notebooks/thyroid-vision-ml.ipynb (names, an XML, the eight that are cut off);
RodrigoMedellinRobles/Thyroid-Benchmark-Ultrasound@ccb1ca96 00_setup/_lib/preprocess_ddti.py;
xuao575/DDTI_preprocessing@02facf61 preprocess.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.helpers.release_files import index_release, open_release, save, save_text, speckle
from usbench.errors import DataError
from usbench.types import SPLITS

SIZE = (24, 36)
LEFT = [(4, 5), (12, 5), (12, 15), (4, 15)]
RIGHT = [(18, 3), (32, 3), (25, 10)]
# case → view → outlines; 114 has an image of view 1 that nothing is drawn in, 396 has no mark
CASES = {
    "1": {"1": [LEFT], "2": [RIGHT]},
    "67": {"1": [LEFT, RIGHT]},
    "75": {"1": [RIGHT], "2": [LEFT]},
    "114": {"1": None, "2": [LEFT]},
    "197": {"1": [RIGHT]},
    "205": {"1": [LEFT]},
    "299": {"1": [RIGHT]},
    "396": {"1": None},
}
USED = [f"{case}/{view}" for case, views in CASES.items() for view in views if views[view]]
TIRADS = {"67": "4b", "75": "2"}


def svg(outlines) -> str:
    regions = ", ".join(
        f'{{"points": [{points_text(points)}], "annotation": {{}}, "regionType": "freehand"}}'
        for points in outlines
    )
    return f"[{regions}]"


def points_text(points) -> str:
    return ", ".join(f'{{"x": {x}, "y": {y}}}' for x, y in points)


def write_xml(path: Path, marks) -> None:
    case = path.stem
    tirads = f"<tirads>{TIRADS[case]}</tirads>" if case in TIRADS else "<tirads />"
    drawn = "".join(
        f"<mark><image>{view}</image><svg>{text}</svg></mark>" for view, text in marks.items()
    )
    fields = "<age /><sex /><composition /><echogenicity /><margins /><calcifications />"
    save_text(
        path,
        f"<case><number>{case}</number>{fields}{tirads}<reportbacaf /><reporteco />{drawn}</case>",
        end="",
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for case, views in CASES.items():
        marks = {view: svg(outlines) for view, outlines in views.items() if outlines}
        if case == "197":
            marks["1"] = marks["1"].removesuffix('pe": "freehand"}]')
        if case == "205":
            marks["1"] = marks["1"].removesuffix('ype": "freehand"}]')
        write_xml(tmp_path / f"{case}.xml", marks)
        for view in views:
            save(tmp_path / f"{case}_{view}.jpg", speckle(*SIZE, int(case)), "RGB")
    for case in ("54", "127", "165", "166", "176", "203"):  # cut off within an outline
        write_xml(tmp_path / f"{case}.xml", {"1": svg([LEFT])[:40]})
        save(tmp_path / f"{case}_1.jpg", speckle(*SIZE), "RGB")
    return tmp_path


def fill(outlines) -> np.ndarray:
    """As Pillow fills polygons with their outline."""
    canvas = Image.new("1", (SIZE[1], SIZE[0]))
    for points in outlines:
        ImageDraw.Draw(canvas).polygon(points, fill=1, outline=1)
    return np.array(canvas)


def read_samples(dataset):
    return {sample.id: sample for split in SPLITS for sample in getattr(dataset, split)}


def test_masks_are_as_pillow_fills_the_outlines(root, compose):
    dataset = open_release(compose, "ddti", "segment", root)
    assert dataset.classes == ("nodule",)
    samples = read_samples(dataset)
    assert sorted(samples) == sorted(USED)
    for name, sample in samples.items():
        case, view = name.split("/")
        assert np.array_equal(sample.target.planes, fill(CASES[case][view])[None])
        assert sample.group == case and sample.mm_per_px is None
        assert sample.attributes["tirads"] == TIRADS.get(case, "")


def test_what_was_left_out_or_repaired_is_counted(root, compose):
    dataset = open_release(compose, "ddti", "segment", root)
    assert dataset.layout.oddities() == {
        "images without an outline, left out": 2,
        "XMLs whose JSON lacked its end": 2,
    }


def test_boxes_are_those_of_the_outlines(root, compose):
    samples = read_samples(open_release(compose, "ddti", "detect", root))
    assert samples["205/1"].target.xyxy.tolist() == [[4, 5, 13, 16]]
    assert samples["197/1"].target.xyxy.tolist() == [[18, 3, 33, 11]]
    assert samples["67/1"].target.xyxy.tolist() == [[18, 3, 33, 11], [4, 5, 13, 16]]


@pytest.mark.parametrize("fold", [None, 0, 1, 2, 3, 4])
def test_cases_stay_whole(root, compose, fold):
    records = open_release(compose, "ddti", "segment", root, fold=fold).records
    parts = [{record.group for record in records[split]} for split in SPLITS]
    assert all(parts) and sum(map(len, parts)) == len(set().union(*parts)) == 7


BAD = {
    "an image without an XML": (
        lambda root: (root / "67.xml").unlink(),
        r"67_1.jpg: expected its label 67.xml, found none",
    ),
    "an XML without an image": (
        lambda root: write_xml(root / "68.xml", {"1": svg([LEFT])}),
        r"68.xml: expected an image for this label, found none",
    ),
    "an outline without its image": (
        lambda root: (root / "75_2.jpg").unlink(),
        r"75.xml: expected an image of view 2, which has an outline, found none",
    ),
    "one more that is cut off": (
        lambda root: write_xml(root / "299.xml", {"1": svg([LEFT])[:40]}),
        r"299.xml: mark 1: expected regions as JSON in <svg>, got a text cut off or damaged",
    ),
    "a repaired one that lacks more": (
        lambda root: write_xml(root / "197.xml", {"1": svg([LEFT])[:40]}),
        r"197.xml: mark 1: expected regions as JSON in <svg>, got a text cut off or damaged",
    ),
    "the cleaned set": (
        lambda root: save(root / "1_or_data/image/0000.PNG", speckle(4, 4)),
        r"1_or_data: this is the cleaned set of 637 images; run it with dataset=ddti637; usbench",
    ),
    "the site's case pages": (
        lambda root: save_text(root / "label.txt", "4a"),
        r"label.txt: this is the images of the site's case pages, without outlines; usbench reads",
    ),
    "crops in PNG": (
        lambda root: save(root / "122_2(1).png", speckle(4, 4)),
        r"122_2\(1\).png: this is a copy in PNG; usbench reads the release of one XML a case",
    ),
    "a folder around": (
        lambda root: shutil.copytree(root, root / "archive"),
        r"1.xml: this is a folder above the release's; name it by dataset.root, or move its files",
    ),
    "nothing": (
        lambda root: [path.unlink() for path in root.iterdir()],
        r"expected images such as .*.jpg, found none",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(root, compose, what):
    damage, message = BAD[what]
    damage(root)
    with pytest.raises(DataError, match=message):
        index_release(compose, "ddti", "segment", root)
