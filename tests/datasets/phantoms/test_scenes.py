"""The kidney and the neck: planes that polygons and boxes can say, views, spacing, shares."""

import functools
import hashlib
from itertools import islice

import numpy as np
import pytest
from scipy import ndimage

from usbench.datasets.phantoms.anatomy import Body, Draw
from usbench.datasets.phantoms.phantom import PhantomSpec, draw_samples, render_bmode
from usbench.datasets.phantoms.scenes import CLASSES, SCENES
from usbench.errors import ConfigError

KIDNEY = ("Capsule", "Central Echo Complex", "Medulla", "Cortex")
NECK = (
    "Trachea",
    "Thyroid",
    "Common carotid artery",
    "Internal juglar vein",
    "Esophagus",
    "Logus coli muscle",
    "Strap muscle",
    "Sternocleidomastoid muscle",
)
SIZES = {
    "kidney": [(96, 128), (192, 256), (120, 200)],
    "neck": [(112, 124), (224, 248), (240, 320)],
}
SIZED = [(scene, size) for scene, sizes in SIZES.items() for size in sizes]
EIGHT = np.ones((3, 3))


def draw_series(scene, size, train, task="segment", seed=0, per_group=4):
    spec = PhantomSpec(scene, size, {"train": train}, seed, per_group=per_group)
    return list(draw_samples(spec, task))


series = functools.cache(draw_series)  # several tests look at one series


def planes(scene, size, train, **more):
    return [sample.target.planes for sample in series(scene, size, train, **more)]


def test_the_names_are_the_releases_in_their_order():
    assert CLASSES["kidney"] == {"segment": KIDNEY}
    assert CLASSES["neck"] == {"segment": NECK, "detect": NECK}


@pytest.mark.parametrize(("scene", "size"), SIZED)
def test_the_same_spec_gives_the_same_samples_and_another_seed_others(scene, size):
    def digests(seed):
        drawn = draw_series(scene, size, 3, seed=seed)
        return [
            hashlib.sha256(s.image.tobytes() + s.target.planes.tobytes()).hexdigest() for s in drawn
        ]

    assert digests(0) == digests(0)
    assert len(set(digests(0))) == 3
    assert not set(digests(0)) & set(digests(1))


@pytest.mark.parametrize(("scene", "size"), SIZED)
def test_image_and_planes_have_the_size_asked_for(scene, size):
    for sample in series(scene, size, 4):
        assert sample.image.shape == size and sample.image.dtype == np.uint8
        assert sample.target.planes.shape == (len(CLASSES[scene]["segment"]), *size)


@pytest.mark.simulate
@pytest.mark.parametrize(("scene", "rows", "columns"), [("kidney", 384, 512), ("neck", 447, 494)])
def test_size_only_changes_the_sampling(scene, rows, columns):
    for n in range(1, 9):
        draw = Draw(0, (n + 3) // 4, n)
        large, small = (SCENES[scene](draw, (rows // k, columns // k)) for k in (1, 2))
        ratio = rows / (rows // 2), columns / (columns // 2)
        assert small.mm_per_px == pytest.approx([large.mm_per_px[k] * ratio[k] for k in (0, 1)])
        share = large.planes.mean(axis=(1, 2)), small.planes.mean(axis=(1, 2))
        assert share[0] == pytest.approx(share[1], rel=0.08, abs=0.0005)


@pytest.mark.parametrize("scene", SIZES)
def test_the_full_size_of_the_release_can_be_drawn(scene):
    size = {"kidney": (768, 1024), "neck": (447, 494)}[scene]
    sample = next(iter(draw_samples(PhantomSpec(scene, size, {"train": 1}, 0), "segment")))
    assert sample.image.shape == size and sample.target.planes.any()


# the kidney


@pytest.mark.parametrize("size", SIZES["kidney"])
@pytest.mark.parametrize("seed", [0, 5])
def test_the_capsule_holds_the_other_three_and_every_image_has_all_four(size, seed):
    for capsule, *inner in planes("kidney", size, 16, seed=seed, per_group=1):
        assert capsule.any() and ndimage.label(capsule, EIGHT)[1] == 1
        for part in inner:
            assert part.sum() >= 0.05 * capsule.sum()
            assert not (part & ~capsule).any()


@pytest.mark.simulate
@pytest.mark.parametrize("size", SIZES["kidney"])
@pytest.mark.parametrize("seed", [0, 5])
def test_no_component_of_a_plane_has_a_hole_as_a_polygon_cannot_say_it(size, seed):
    for drawn in planes("kidney", size, 16, seed=seed, per_group=1):
        for plane in drawn:
            labels, count = ndimage.label(plane, EIGHT)
            for k in range(1, count + 1):
                assert np.array_equal(ndimage.binary_fill_holes(labels == k), labels == k)


def test_the_parts_overlap_nowhere_but_where_coarse_pixels_close_a_hole():
    for drawn in planes("kidney", (192, 256), 8, per_group=1):
        assert (drawn[1:].sum(axis=0) > 1).sum() <= 3
        assert drawn[1:].any(axis=0).sum() >= 0.99 * drawn[0].sum()


def test_the_medulla_is_several_pyramids_of_some_size():
    for drawn in planes("kidney", (192, 256), 8, per_group=1):
        labels, count = ndimage.label(drawn[KIDNEY.index("Medulla")], EIGHT)
        sizes = np.bincount(labels.ravel())[1:]
        assert 3 <= count <= 12
        assert np.median(sizes) >= 40


def test_groups_share_a_view_and_alternate():
    drawn = series("kidney", (96, 128), 24, per_group=3)
    views = [sample.attributes["view"] for sample in drawn]
    assert views == ["Longitudinal"] * 3 + ["Transverse"] * 3 + views[:18]
    assert {sample.attributes["quality"] for sample in drawn} == {"Good"}
    assert len({(sample.group, sample.mm_per_px) for sample in drawn}) == 8


def test_a_longitudinal_kidney_is_long_a_transverse_one_round():
    for sample in series("kidney", (192, 256), 16, per_group=1):
        spread = np.linalg.eigvalsh(np.cov(np.nonzero(sample.target.planes[0])))
        aspect = np.sqrt(spread[1] / spread[0])
        assert aspect > 1.7 if sample.attributes["view"] == "Longitudinal" else aspect < 1.5


def test_a_kidney_measures_what_kidneys_do():
    for sample in series("kidney", (192, 256), 16, per_group=1):
        assert 0.7 < sample.mm_per_px[0] < 0.9
        assert sample.mm_per_px[1] == pytest.approx(sample.mm_per_px[0])
        columns = np.nonzero(sample.target.planes[0].any(axis=0))[0]
        length = (columns[-1] - columns[0] + 1) * sample.mm_per_px[1]
        assert (
            85 < length < 140 if sample.attributes["view"] == "Longitudinal" else 45 < length < 80
        )


def test_it_is_black_beyond_the_field_of_view_and_the_kidney_within_it():
    for n in range(1, 5):
        body = SCENES["kidney"](Draw(0, n, n), (192, 256))
        image = render_bmode(body, np.random.default_rng(0))
        assert not image[~body.view].any()
        assert not (body.planes & ~body.view).any()
        assert 0.4 < body.view.mean() < 0.75
        assert np.median(image[body.view]) > 25


def test_the_parts_differ_in_grey_as_in_a_kidney():
    pixels = [[] for _ in KIDNEY]
    for sample in series("kidney", (192, 256), 8, per_group=1):
        for part, plane in zip(pixels, sample.target.planes, strict=True):
            part.append(sample.image[plane])
    _, sinus, medulla, cortex = (np.median(np.concatenate(part)) for part in pixels)
    assert sinus > cortex + 25
    assert cortex > medulla + 20


# the neck


@pytest.mark.simulate
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_share_of_images_with_each_structure(seed):
    present = np.mean(
        [drawn.any(axis=(1, 2)) for drawn in planes("neck", (64, 70), 64, seed=seed)], axis=0
    )
    released = np.array([240, 550, 620, 30, 75, 310, 548, 585]) / 790
    rare = [NECK.index("Internal juglar vein"), NECK.index("Esophagus")]
    released[rare] = 0.27  # drawn more often than released, so that a short series can teach them
    assert np.abs(present - released).max() < 0.12
    assert present[rare].min() >= 0.2


@pytest.mark.simulate
@pytest.mark.parametrize("size", SIZES["neck"])
def test_boxes_are_tight_one_per_structure_of_the_same_image(size):
    for mask, box in zip(
        series("neck", size, 16), series("neck", size, 16, task="detect"), strict=True
    ):
        assert np.array_equal(mask.image, box.image)
        assert (mask.mm_per_px, mask.attributes) == (box.mm_per_px, box.attributes)
        counts = [ndimage.label(plane, EIGHT)[1] for plane in mask.target.planes]
        assert np.bincount(box.target.labels, minlength=len(NECK)).tolist() == counts
        for (x1, y1, x2, y2), label in zip(
            box.target.xyxy.astype(int), box.target.labels, strict=True
        ):
            inside = mask.target.planes[label, y1:y2, x1:x2]
            assert (
                inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
            )


@pytest.mark.simulate
@pytest.mark.parametrize("size", SIZES["neck"])
def test_structures_are_whole_and_disjoint(size):
    for drawn in planes("neck", size, 32, per_group=1):
        assert drawn.sum(axis=0).max() == 1
        counts = dict(zip(NECK, [ndimage.label(plane, EIGHT)[1] for plane in drawn], strict=True))
        pairs = (
            2 if counts["Trachea"] else 1
        )  # lobes, straps and long muscles of both sides beside a trachea
        assert counts["Thyroid"] in (0, pairs) and counts["Strap muscle"] == counts["Thyroid"]
        assert counts["Logus coli muscle"] in (0, pairs)
        assert all(
            counts[name] <= 1
            for name in NECK
            if name.split()[0] not in ("Thyroid", "Strap", "Logus")
        )


@pytest.mark.simulate
def test_no_structure_is_too_small_for_a_net_that_sees_320_columns():
    for sample in series("neck", (289, 320), 48, task="detect", per_group=1):
        sides = sample.target.xyxy[:, 2:] - sample.target.xyxy[:, :2]
        assert sides.min() >= 12
        assert (
            sample.target.xyxy.min() >= 0
            and (sample.target.xyxy.max(axis=0)[2:] <= (320, 289)).all()
        )


@pytest.mark.simulate
def test_vessels_and_air_are_dark_and_the_gland_bright():
    pixels = {name: [] for name in NECK}
    rest = []
    for sample in series("neck", (224, 248), 24):
        for name, plane in zip(NECK, sample.target.planes, strict=True):
            pixels[name].append(sample.image[plane])
        rest.append(sample.image[~sample.target.planes.any(axis=0)])
    look = {name: float(np.median(np.concatenate(parts))) for name, parts in pixels.items()}
    background = float(np.median(np.concatenate(rest)))
    assert look["Thyroid"] > background + 20
    for name in NECK[2:4] + NECK[5:] + NECK[:1]:
        assert look[name] < background - 10, (name, look, background)
    assert look["Common carotid artery"] < look["Strap muscle"] - 8


def test_a_neck_has_the_spacing_of_its_subject():
    drawn = series("neck", (224, 247), 12)
    assert len({(sample.group, sample.mm_per_px) for sample in drawn}) == 3
    assert all(
        0.15 < sample.mm_per_px[0] < 0.2 and 0.15 < sample.mm_per_px[1] < 0.2 for sample in drawn
    )


# what the phantom makes of a body


def test_a_body_without_facts_gives_a_sample_without_them():
    sample = next(
        islice(draw_samples(PhantomSpec("plain", (64, 80), {"train": 1}, 0), "segment"), 1)
    )
    assert sample.mm_per_px is None and dict(sample.attributes) == {}


def test_beyond_the_view_the_image_is_black_and_within_it_unchanged():
    flat = np.zeros((40, 40), np.float32)
    view = np.zeros((40, 40), bool)
    view[:, 10:30] = True
    whole = Body(flat, flat, flat, np.zeros((1, 40, 40), bool), 0.05, 0.6, (1.0, 1.0))
    seen = Body(flat, flat, flat, np.zeros((1, 40, 40), bool), 0.05, 0.6, (1.0, 1.0), view)
    first, second = (
        render_bmode(whole, np.random.default_rng(0)),
        render_bmode(seen, np.random.default_rng(0)),
    )
    assert second.dtype == np.uint8 and not second[~view].any()
    assert np.array_equal(first[view], second[view])


def test_a_scene_without_the_task_names_those_it_has():
    with pytest.raises(ConfigError, match=r"kidney.*no task 'detect': expected segment$"):
        draw_samples(PhantomSpec("kidney", (96, 128), {"train": 1}, 0), "detect")
