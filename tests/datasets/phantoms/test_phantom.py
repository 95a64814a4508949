"""The phantoms: ultrasound's physics, exact targets, reproducible series."""

import functools
import hashlib
from itertools import islice
from math import pi, sqrt
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from usbench.datasets.phantoms.anatomy import Body, Draw, Frame
from usbench.datasets.phantoms.phantom import (
    DYNAMIC_RANGE_DB,
    WHITE_DB,
    PhantomSpec,
    compress,
    draw_samples,
    render_bmode,
    simulate_speckle,
)
from usbench.datasets.phantoms.scenes import CLASSES
from usbench.errors import ConfigError
from usbench.types import Boxes, Masks, Split

SIZES = {"spinal": (275, 690), "nerves": (512, 534), "plain": (256, 320)}
SMALL = {"spinal": (92, 230), "nerves": (128, 134), "plain": (96, 120)}
SPINAL = CLASSES["spinal"]["segment"]


def series(scene, train=0, task="segment", small=True, seed=0, **more):
    counts = more.pop("counts", {"train": train})
    return list(
        draw_samples(
            PhantomSpec(scene, (SMALL if small else SIZES)[scene], counts, seed, **more), task
        )
    )


def rng(seed=0):
    return np.random.default_rng(seed)


def flat(height, width, **maps):
    """A body of uniform tissue with other maps where given."""
    full = {"echo": 0.0, "loss": 0.05, "coherent": 0.0} | maps
    arrays = {
        name: np.broadcast_to(value, (height, width)).astype(np.float32)
        for name, value in full.items()
    }
    return Body(
        **arrays, planes=np.zeros((1, height, width), bool), gain=0.05, smooth=0.6, scale=(1.0, 1.0)
    )


# physics


@pytest.mark.parametrize("lateral", [(0.8, 0.8), (1.5, 3.2), (3.0, 1.0)])
def test_speckle_of_a_uniform_region_has_a_rayleigh_envelope(lateral):
    envelope = simulate_speckle(np.full((400, 600), 3.0, np.float32), rng(), lateral=lateral)
    assert envelope.shape == (400, 600)
    assert envelope.dtype == np.float32
    assert envelope.mean() / envelope.std() == pytest.approx(sqrt(pi / (4 - pi)), rel=0.02)  # 1.913
    assert np.mean(envelope**2) == pytest.approx(
        9, rel=0.03
    )  # E[envelope²] = echogenicity², at every depth:
    for part in (slice(0, 100), slice(300, 400)):
        assert np.mean(envelope[part] ** 2) == pytest.approx(9, rel=0.06)


def test_a_coherent_echo_makes_the_envelope_rician():
    weak = np.full((300, 300), 0.5, np.float32)
    envelope = simulate_speckle(weak, rng(), coherent=np.full((300, 300), 10, np.float32))
    assert envelope.mean() == pytest.approx(10, rel=0.01)
    assert envelope.std() == pytest.approx(0.5 / sqrt(2), rel=0.1)


def width(part, axis):
    """Lag, in px, at which the autocorrelation of the intensity falls below a half."""
    intensity = part**2 - np.mean(part**2)
    for lag in range(1, 20):
        moved = np.take(intensity, range(lag, intensity.shape[axis]), axis)
        fixed = np.take(intensity, range(intensity.shape[axis] - lag), axis)
        if np.mean(moved * fixed) < 0.5 * np.mean(intensity**2):
            return lag
    return 20


def test_the_cells_of_speckle_are_wider_than_deep_and_widen_with_depth():
    envelope = simulate_speckle(
        np.ones((600, 600), np.float32), rng(), axial=1.1, lateral=(2.0, 6.0)
    )
    shallow, deep = envelope[:150], envelope[-150:]
    assert width(shallow, 1) > width(shallow, 0)
    assert width(deep, 1) >= 1.6 * width(shallow, 1)
    assert width(deep, 0) == width(shallow, 0)


def test_speckle_does_not_wrap_round_the_sides():
    echogenicity = np.zeros((60, 200), np.float32)
    echogenicity[:, :20] = 1
    assert simulate_speckle(echogenicity, rng())[:, -20:].max() < 1e-5


@pytest.mark.parametrize(
    ("level_db", "grey"),
    [
        (WHITE_DB, 255),
        (WHITE_DB + 20, 255),
        (WHITE_DB - DYNAMIC_RANGE_DB, 0),
        (-200, 0),
        (WHITE_DB - 29, 128),
    ],
)
def test_compression_is_logarithmic(level_db, grey):
    assert compress(np.full((2, 2), 10 ** (level_db / 20), np.float32)).tolist() == [[grey] * 2] * 2


@pytest.mark.parametrize(("inside", "sign"), [(0.0, 1), (0.15, -1)])
def test_fluid_enhances_and_dense_tissue_shadows_behind_itself_only(inside, sign):
    loss = np.full((200, 200), 0.05)
    loss[60:120, 60:140] = inside
    picture = render_bmode(flat(200, 200, loss=loss), rng()).astype(float)
    behind, beside, before = picture[140:190, 75:125], picture[140:190, :45], picture[10:55, 75:125]
    step = 255 / DYNAMIC_RANGE_DB * 60 * (0.05 - inside)  # dB along the structure, as grey levels
    assert behind.mean() - beside.mean() == pytest.approx(step, abs=5)
    assert abs(before.mean() - beside.mean()) < 5
    assert step * sign > 0


def test_the_receiver_noise_grows_with_depth():
    picture = render_bmode(flat(400, 100, echo=-200.0, loss=0.0), rng()).astype(float)
    assert picture[:100].mean() < picture[-100:].mean()


# targets


@pytest.mark.parametrize("scene", SIZES)
def test_masks_are_disjoint_and_of_the_image_size(scene):
    for sample in series(scene, 12):
        assert isinstance(sample.target, Masks)
        assert sample.image.shape == SMALL[scene]
        assert sample.image.dtype == np.uint8
        assert sample.target.planes.shape == (len(CLASSES[scene]["segment"]), *SMALL[scene])
        assert sample.target.planes.sum(0).max() <= 1


@pytest.mark.parametrize("scene", SIZES)
def test_boxes_are_half_open_and_tight_round_the_planes_of_the_same_image(scene):
    names = CLASSES[scene]
    for mask, box in zip(series(scene, 12), series(scene, 12, task="detect"), strict=True):
        assert np.array_equal(mask.image, box.image)
        assert (mask.id, mask.group, mask.split) == (box.id, box.group, box.split)
        assert isinstance(box.target, Boxes)
        planes = mask.target.planes[[names["segment"].index(name) for name in names["detect"]]]
        assert np.bincount(box.target.labels, minlength=len(planes)).tolist() == [
            ndimage.label(p)[1] for p in planes
        ]
        left = planes.copy()
        for (x1, y1, x2, y2), label in zip(
            box.target.xyxy.astype(int), box.target.labels, strict=True
        ):
            inside = planes[label, y1:y2, x1:x2]
            assert (
                inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
            )
            left[label, y1:y2, x1:x2] = False
        assert not left.any()


@pytest.mark.simulate
@pytest.mark.parametrize("scene", SIZES)
def test_every_structure_to_detect_is_one_solid_piece_at_native_size(scene):
    for sample in series(scene, 8, task="detect", small=False):
        x1, y1, x2, y2 = sample.target.xyxy.T
        assert ((x2 - x1) >= 15).all() and ((y2 - y1) >= 15).all()
        assert (x1 >= 0).all() and (y1 >= 0).all()
        assert (x2 <= SIZES[scene][1]).all() and (y2 <= SIZES[scene][0]).all()


@functools.cache  # several classes ask for it
def class_shares(scene, seed):
    """Share of images that show each class."""
    drawn = series(scene, 64, seed=seed)
    return np.mean([sample.target.planes.any(axis=(1, 2)) for sample in drawn], axis=0)


@pytest.mark.simulate
@pytest.mark.parametrize(
    ("scene", "name", "low", "high"),
    [
        ("spinal", "blood/saline", 1, 1),
        ("spinal", "spinal cord", 1, 1),
        ("spinal", "dura", 0.9, 1),
        ("spinal", "hematoma", 0.5, 0.7),
        ("spinal", "dura/pia complex", 0.4, 0.6),
        ("spinal", "extradural space", 0.6, 0.9),
        ("spinal", "dura/extradural space", 0.4, 0.7),
        ("nerves", "nerve", 1, 1),
        ("nerves", "vessel", 0.85, 0.95),
        ("plain", "cyst", 0.5, 0.7),
        ("plain", "lesion", 0.5, 0.7),
    ],
)
@pytest.mark.parametrize("seed", [0, 7])
def test_share_of_images_with_the_class(scene, name, low, high, seed):
    label = CLASSES[scene]["segment"].index(name)
    assert low <= class_shares(scene, seed)[label] <= high


def test_images_without_the_object_have_no_box():
    boxes = [sample.target.xyxy for sample in series("spinal", 16, task="detect")]
    assert {len(xyxy) for xyxy in boxes} == {0, 1}
    counts = [len(sample.target.xyxy) for sample in series("plain", 64, task="detect")]
    assert 0.05 <= counts.count(0) / 64 <= 0.15
    assert max(counts) >= 2


def looks(scene, images):
    """Median grey level of every class and of the background over native-size images."""
    pixels = {}
    for sample in series(scene, images, small=False, per_group=1):
        planes = [*sample.target.planes, ~sample.target.planes.any(0)]
        for name, plane in zip([*CLASSES[scene]["segment"], "background"], planes, strict=True):
            pixels.setdefault(name, []).append(sample.image[plane])
    return {name: float(np.median(np.concatenate(parts))) for name, parts in pixels.items()}


@pytest.mark.simulate
def test_each_class_looks_unlike_its_neighbours():
    neighbours = {
        "spinal": (
            ("blood/saline", "dura"),
            ("dura", "csf"),
            ("csf", "pia"),
            ("pia", "spinal cord"),
            ("dura", "pia"),
            ("hematoma", "spinal cord"),
            ("dura/pia complex", "blood/saline"),
            ("dura/pia complex", "spinal cord"),
            ("dura", "extradural space"),
            ("dura/extradural space", "csf"),
            ("dura/extradural space", "extradural space"),
            ("extradural space", "background"),
        ),
        "nerves": (("nerve", "vessel"), ("nerve", "background"), ("vessel", "background")),
        "plain": (("cyst", "lesion"), ("cyst", "background"), ("lesion", "background")),
    }
    for scene, pairs in neighbours.items():
        look = looks(scene, 6)
        for first, second in pairs:
            assert abs(look[first] - look[second]) > 15, (scene, first, second, look)


# series


@pytest.mark.parametrize("scene", SIZES)
def test_the_same_spec_gives_the_same_bytes(scene):
    digests = {
        hashlib.sha256(s.image.tobytes() + s.target.planes.tobytes()).hexdigest()
        for s in series(scene, 3)
    }
    again = {
        hashlib.sha256(s.image.tobytes() + s.target.planes.tobytes()).hexdigest()
        for s in series(scene, 3)
    }
    other = {
        hashlib.sha256(s.image.tobytes() + s.target.planes.tobytes()).hexdigest()
        for s in series(scene, 3, seed=1)
    }
    assert digests == again
    assert len(digests) == 3
    assert not digests & other


def test_an_image_does_not_depend_on_how_many_are_drawn():
    few, many = series("plain", 2), series("plain", counts={"train": 6, "val": 2})
    for first, second in zip(few, many, strict=False):
        assert np.array_equal(first.image, second.image)
    first = next(
        iter(draw_samples(PhantomSpec("plain", SMALL["plain"], {"train": 10**9}, 0), "segment"))
    )  # lazy: it comes at once
    assert np.array_equal(first.image, few[0].image)


@settings(max_examples=20, deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from(get_args(Split)), st.integers(0, 5)),
    per_group=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_splits_come_in_order_and_no_group_crosses_them(counts, per_group, seed):
    spec = PhantomSpec("plain", (32, 40), counts, seed, id="g{group}-{n:03d}", per_group=per_group)
    drawn = list(draw_samples(spec, "detect"))
    assert [s.split for s in drawn] == [
        s for s in ("train", "val", "test") for _ in range(counts.get(s, 0))
    ]
    assert [s.id for s in drawn] == [f"{s.group}-{n:03d}" for n, s in enumerate(drawn, start=1)]
    members = {}
    for sample in drawn:
        members.setdefault(sample.group, []).append(sample.split)
    assert all(len(set(splits)) == 1 and len(splits) <= per_group for splits in members.values())


@pytest.mark.simulate
def test_images_of_one_subject_resemble_each_other():
    def surface(sample):
        return sample.target.planes[SPINAL.index("blood/saline")].sum(0).max()

    drawn = series("spinal", 40, small=False)
    depth = np.array([surface(sample) for sample in drawn], float).reshape(10, 4)
    assert depth.std(axis=1).mean() < 0.7 * depth.std()
    assert len({sample.image.tobytes() for sample in drawn}) == 40


@pytest.mark.parametrize(
    ("change", "task", "message"),
    [
        ({"scene": "liver"}, "segment", "'liver'"),
        ({}, "landmark", "landmark"),
        ({"counts": {"dev": 3}}, "segment", "'dev'"),
        ({"counts": {"train": -1}}, "segment", "counts"),
        ({"seed": -1}, "segment", "seed -1"),
        ({"per_group": 0}, "segment", "per_group 0"),
        ({"size": (8, 8)}, "segment", "32 px"),
        ({"id": "{frame}"}, "segment", "{frame}"),
    ],
)
def test_what_cannot_be_drawn_is_said_at_the_call(change, task, message):
    good = {"scene": "plain", "size": (64, 64), "counts": {"train": 1}, "seed": 0}
    with pytest.raises(ConfigError, match=message.replace("{", r"\{")) as caught:
        draw_samples(PhantomSpec(**(good | change)), task)
    assert "\n" not in str(caught.value)


# anatomy


def test_a_parameter_is_found_by_name_whatever_was_drawn_before():
    draw = Draw(seed=3, group=1, n=2)
    draw.vary("other", 0, 1)
    assert (
        draw.vary("depth", 5, 9)
        == Draw(3, 1, 2).vary("depth", 5, 9)
        != draw.vary("depth two", 5, 9)
    )
    assert 5 <= draw.vary("depth", 5, 9) <= 9


def test_a_frame_has_the_reference_coordinates_of_pixel_centres():
    frame = Frame(Draw(0, 1, 1), reference=(100, 200), size=(50, 50))
    assert frame.y[:2, 0].tolist() == [1, 3]
    assert frame.x[0, :2].tolist() == [2, 6]


def test_a_texture_has_mean_0_sd_1_and_its_correlation_lengths():
    texture = Frame(Draw(0, 1, 1), (300, 300), (300, 300)).grain("texture", 2, 8)
    assert texture.mean() == pytest.approx(0, abs=0.1)
    assert texture.std() == pytest.approx(1, rel=0.1)
    along = np.corrcoef(texture[:, :-8].ravel(), texture[:, 8:].ravel())[0, 1]
    down = np.corrcoef(texture[:-8].ravel(), texture[8:].ravel())[0, 1]
    assert along == pytest.approx(
        np.exp(-1 / 4), abs=0.1
    )  # a Gaussian of SD s correlates by exp(-lag² / 4s²)
    assert down == pytest.approx(0, abs=0.1)


def test_seeds_give_unrelated_subjects():
    first, second = (
        islice(draw_samples(PhantomSpec("spinal", (92, 230), {"train": 1}, seed), "segment"), 1)
        for seed in (0, 1)
    )
    assert not np.array_equal(next(first).target.planes, next(second).target.planes)
