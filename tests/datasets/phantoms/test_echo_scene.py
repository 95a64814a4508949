"""The echo scene: landmarks that lie on what is visible, in a sector, in two views that beat."""

import hashlib
from math import hypot

import numpy as np
import pytest
from scipy import ndimage

from usbench.datasets.phantoms.anatomy import Draw
from usbench.datasets.phantoms.phantom import PhantomSpec, draw_samples, scene_classes
from usbench.datasets.phantoms.scenes import CLASSES, SCENES
from usbench.datasets.phantoms.scenes.apical import APICAL, apical
from usbench.datasets.phantoms.scenes.echo import distance
from usbench.datasets.phantoms.scenes.heart import Axes, contraction, leaflet, offset_at, shift
from usbench.datasets.phantoms.scenes.parasternal import PARASTERNAL, parasternal
from usbench.errors import ConfigError
from usbench.types import (
    BLURRED,
    OFF,
    SEEN,
    Landmarks,
    curve_through,
)

NAMES = CLASSES["echo"]["landmark"]
CURVES = ("curve-la-endo", "curve-lv-antsep-endo", "curve-lv-endo", "curve-lv-post-endo")
VIEWS = {"apical four-chamber": APICAL, "parasternal long-axis": PARASTERNAL}
CALIPERS = {"lv-ivs-bottom", "lv-pw-top"}
SIZE = (300, 400)  # half of the reference


def series(train, size=SIZE, seed=0, per_group=1):
    return list(
        draw_samples(
            PhantomSpec("echo", size, {"train": train}, seed, per_group=per_group), "landmark"
        )
    )


@pytest.fixture(scope="module")
def drawn():
    return series(40)


def seen(sample):
    """Name → path of what is seen."""
    target = sample.target
    return {
        name: path
        for name, path, state in zip(NAMES, target.paths, target.state, strict=True)
        if state == SEEN
    }


def heart(n, seed=0):
    """The anatomy of image n of a series with one image per group."""
    return (apical if n % 2 else parasternal)(Draw(seed, n, n))


def digest(sample):
    knots = b"".join(path.tobytes() for path in sample.target.paths)
    return hashlib.sha256(
        sample.image.tobytes() + knots + sample.target.state.tobytes()
    ).hexdigest()


# names and states


def test_the_names_are_unitys_sorted():
    assert list(NAMES) == sorted({*APICAL, *PARASTERNAL})
    assert len(NAMES) == 16
    assert tuple(name for name in NAMES if name.startswith("curve-")) == CURVES
    assert {
        "lv-ivs-top",
        "lv-ivs-bottom",
        "lv-pw-top",
        "lv-pw-bottom",
        "mv-ant-hinge",
        "lv-apex-endo",
    } < set(NAMES)
    assert scene_classes(PhantomSpec("echo", SIZE, {}, 0), "landmark") == NAMES


def test_what_is_not_of_the_view_is_off_and_what_is_has_a_path(drawn):
    for n, sample in enumerate(drawn, start=1):
        view = sample.attributes["view"]
        assert view == ("apical four-chamber" if n % 2 else "parasternal long-axis")
        assert isinstance(sample.target, Landmarks) and sample.target.scores is None
        assert sample.target.state.dtype == np.int8 and len(sample.target.paths) == len(NAMES)
        for name, path, state in zip(NAMES, sample.target.paths, sample.target.state, strict=True):
            assert (state == OFF) == (name not in VIEWS[view])
            assert path.dtype == np.float32 and path.ndim == 2 and path.shape[1] == 2
            if state != SEEN:
                assert len(path) == 0
            else:
                assert (5 <= len(path) <= 11) if name in CURVES else len(path) == 1


@pytest.mark.simulate
def test_one_name_drops_out_of_a_tenth_of_the_images():
    blurred = [np.count_nonzero(sample.target.state == BLURRED) for sample in series(100, (60, 80))]
    assert max(blurred) == 1
    assert 0.08 <= np.mean(blurred) <= 0.12


@pytest.mark.parametrize("task", ["segment", "detect"])
def test_the_scene_has_the_landmark_task_alone(task):
    with pytest.raises(ConfigError, match=f"'echo' has no task '{task}': expected landmark"):
        draw_samples(PhantomSpec("echo", SIZE, {"train": 1}, 0), task)


# where the landmarks are


def test_every_landmark_lies_in_the_sector(drawn):
    for sample in drawn:
        for path in seen(sample).values():
            x, y = ((path + 0.5) * 2).T - [[400], [4]]
            assert (np.hypot(x, y) < 584 - 5).all() and (np.hypot(x, y) > 12).all()
            assert (
                np.abs(np.arctan2(x, y)) * np.hypot(x, y) < 0.74 * np.hypot(x, y) - 5
            ).all()  # 5 px from its sides


def test_nothing_is_beyond_the_sector_and_something_within(drawn):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] * 2 + 1.0
    depth, angle = np.hypot(x - 400, y - 4), np.arctan2(x - 400, y - 4)
    beyond = (depth > 586) | (np.abs(angle) > 0.745)
    within = (depth < 582) & (depth > 15) & (np.abs(angle) < 0.735)
    for sample in drawn[:6]:
        assert sample.image[beyond].max() == 0
        assert sample.image[within].mean() > 20
    assert not beyond.all() and beyond[0, 0] and beyond[-1, 0] and beyond[-1, -1]


def test_the_curves_end_at_the_hinges(drawn):
    ends = {
        "curve-lv-endo": (0, "mv-ant-hinge", -1, "mv-post-hinge", 4, "lv-apex-endo"),
        "curve-la-endo": (0, "mv-ant-hinge", -1, "mv-post-hinge"),
        "curve-lv-antsep-endo": (0, "ao-valve-top-inner"),
        "curve-lv-post-endo": (0, "mv-post-hinge"),
    }
    met = 0
    for sample in drawn:
        paths = seen(sample)
        for name, pairs in ends.items():
            for knot, point in zip(pairs[::2], pairs[1::2], strict=True):
                if name in paths and point in paths:
                    assert paths[name][knot].tolist() == paths[point][0].tolist()
                    met += 1
    assert met > 100


def profile(drawn, name, outward):
    """Mean grey level at −12 … 12 px across a curve; outward: +1 where outside is to the left."""
    lines = []
    for sample in drawn:
        if name in seen(sample):
            line = curve_through(seen(sample)[name].astype(float))[
                8:-8
            ]  # without the leaflets at its ends
            along = np.gradient(line, axis=0)
            along /= np.linalg.norm(along, axis=1, keepdims=True)
            left = outward * np.stack([along[:, 1], -along[:, 0]], axis=1)
            places = line[:, None] + np.arange(-12, 13)[:, None] * left[:, None]
            lines.append(
                ndimage.map_coordinates(
                    sample.image.astype(float), places.transpose(2, 0, 1)[::-1], order=1
                )
            )
    return np.concatenate(lines).mean(axis=0)


@pytest.mark.parametrize(
    ("name", "outward"),
    [
        ("curve-lv-endo", 1),
        ("curve-la-endo", -1),
        ("curve-lv-antsep-endo", -1),
        ("curve-lv-post-endo", 1),
    ],
)
def test_a_curve_runs_between_dark_blood_and_bright_wall_to_the_pixel(drawn, name, outward):
    across = profile(drawn, name, outward)
    blood, wall = across[:10].mean(), across[13:17].mean()
    assert wall > blood + 50
    middle = np.interp((blood + wall) / 2, across[9:15], np.arange(-3, 3))
    assert abs(middle) < 1  # the beam is wide: a bright wall spills a little into the blood


@pytest.mark.parametrize(
    ("inner", "outer"), [("lv-ivs-top", "lv-ivs-bottom"), ("lv-pw-top", "lv-pw-bottom")]
)
def test_the_measuring_points_lie_on_both_sides_of_a_bright_wall(drawn, inner, outer):
    steps = []
    for paths in (seen(sample) | {"image": sample.image.astype(float)} for sample in drawn[1::2]):
        for near, far in ((inner, outer), (outer, inner)):
            if near in paths and far in paths:
                into = (paths[far] - paths[near]) / np.linalg.norm(paths[far] - paths[near])
                places = paths[near] + np.array([[-4], [-3], [-2], [2], [3], [4]]) * into
                levels = ndimage.map_coordinates(paths["image"], places.T[::-1], order=1)
                steps.append((near, levels[3:].mean() - levels[:3].mean()))
    for name in (inner, outer):
        assert np.mean([step for where, step in steps if where == name]) > 40


def test_the_ventricle_is_as_wide_as_a_heart(drawn):
    ends = [(seen(sample), sample.mm_per_px[0]) for sample in drawn[1::2]]
    ends = [
        (paths["lv-ivs-bottom"] - paths["lv-pw-top"], mm)
        for paths, mm in ends
        if set(paths) >= CALIPERS
    ]
    lengths = [np.linalg.norm(apart) * mm for apart, mm in ends]
    assert 25 < min(lengths) < 38 < max(lengths) < 58  # mm


@pytest.mark.parametrize("name", [name for name in NAMES if "hinge" in name])
def test_a_hinge_is_bright(drawn, name):
    places = [
        (sample.image, np.rint(seen(sample)[name][0]).astype(int))
        for sample in drawn
        if name in seen(sample)
    ]
    spots = [image[y - 1 : y + 2, x - 1 : x + 2].mean() for image, (x, y) in places]
    assert np.mean(spots) > 140


@pytest.mark.simulate
def test_where_a_name_drops_out_the_image_is_echo_poor():
    levels = {SEEN: [], BLURRED: []}
    for n, sample in enumerate(series(120, (150, 200)), start=1):
        for name, path in heart(n).paths.items():
            if len(path) == 1:
                x, y = np.rint(path[0] / 4 - 0.5).astype(int)
                state = sample.target.state[NAMES.index(name)]
                levels[state].append(sample.image[y - 2 : y + 3, x - 2 : x + 3].mean())
    assert len(levels[BLURRED]) >= 5
    assert np.mean(levels[BLURRED]) < 0.5 * np.mean(levels[SEEN])


def test_where_a_curve_drops_out_its_ends_stay_bright():
    label = NAMES.index("curve-lv-endo")
    drawn = enumerate(series(8, (150, 200), seed=2), start=1)
    n, sample = next((n, sample) for n, sample in drawn if sample.target.state[label] == BLURRED)
    knots = np.rint(heart(n, seed=2).paths["curve-lv-endo"] / 4 - 0.5).astype(int)
    levels = [sample.image[y - 1 : y + 2, x - 1 : x + 2].mean() for x, y in knots]
    assert min(levels[0], levels[-1]) > 100  # the hinges are seen
    assert max(levels[2], levels[6]) < 40


# sizes


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_half_the_size_has_half_the_coordinates_of_pixel_centres(n):
    whole, half = (SCENES["echo"](Draw(5, n, n), (480 // k, 640 // k)) for k in (1, 2))
    assert whole.landmarks.state.tolist() == half.landmarks.state.tolist()
    for large, small in zip(whole.landmarks.paths, half.landmarks.paths, strict=True):
        assert (large + 0.5) / 2 - 0.5 == pytest.approx(small, abs=1e-4)
    assert half.mm_per_px == pytest.approx([2 * pitch for pitch in whole.mm_per_px])


def test_the_images_of_two_sizes_show_the_same():
    for whole, half in zip(series(4, (480, 640)), series(4, (240, 320)), strict=True):
        shrunk = whole.image.reshape(240, 2, 320, 2).mean(axis=(1, 3))
        smooth = [
            ndimage.gaussian_filter(picture.astype(float), 5) for picture in (shrunk, half.image)
        ]
        assert np.corrcoef(smooth[0].ravel(), smooth[1].ravel())[0, 1] > 0.96


@pytest.mark.parametrize("size", [(60, 80), (120, 160), (600, 800), (200, 160)])
def test_any_size_can_be_drawn_and_its_landmarks_lie_in_the_image(size):
    for sample in series(2, size):
        assert sample.image.shape == size and sample.image.dtype == np.uint8
        for path in seen(sample).values():
            assert (path > 0).all() and (path < np.array(size[::-1]) - 1).all()


# series


def test_the_same_spec_gives_the_same_samples_and_another_seed_others():
    first = [digest(sample) for sample in series(4, (120, 160))]
    assert first == [digest(sample) for sample in series(4, (120, 160))]
    assert len(set(first)) == 4
    assert not set(first) & {digest(sample) for sample in series(4, (120, 160), seed=1)}


def test_within_a_video_the_heart_beats_and_nothing_else_changes():
    video = series(12, (120, 160), per_group=12)
    assert (
        len({sample.group for sample in video}) == len({sample.mm_per_px for sample in video}) == 1
    )
    apex = np.array([seen(s)["lv-apex-endo"][0] for s in video if "lv-apex-endo" in seen(s)])
    assert np.ptp(apex, axis=0).max() < 1  # px: it hardly moves
    beats = [contraction(Draw(0, 1, n)) for n in range(1, 13)]
    assert min(beats) < 0.1 and max(beats) > 0.9
    widths = [
        hypot(*(heart_view.paths["mv-ant-hinge"] - heart_view.paths["mv-post-hinge"])[0])
        for heart_view in (apical(Draw(0, 1, n)) for n in range(1, 13))
    ]
    assert np.corrcoef(beats, widths)[0, 1] < -0.999


def test_subjects_differ():
    apexes = np.array(
        [apical(Draw(0, group, 1)).paths["lv-apex-endo"][0] for group in range(1, 31)]
    )
    assert (np.ptp(apexes, axis=0) > 15).all()
    assert len({sample.mm_per_px for sample in series(4, (60, 80))}) == 4


# outlines


def test_the_distance_from_a_circle_is_exact():
    angle, (y, x) = np.linspace(0, 2 * np.pi, 400), np.mgrid[:80, :100].astype(np.float32)
    circle = np.stack([50 + 20 * np.cos(angle), 40 + 20 * np.sin(angle)], axis=1)
    assert distance(circle, x, y) == pytest.approx(np.hypot(x - 50, y - 40) - 20, abs=0.03)


def test_an_outline_closes_on_itself_by_a_straight_line():
    square = np.array([(10, 10), (50, 10), (50, 50), (10, 50)], float)
    x, y = (
        np.array([[4, 6, 14, 30, 30, 30]], np.float32),
        np.array([[30, 20, 30, 6, 14, 54]], np.float32),
    )
    assert distance(square, x, y)[0] == pytest.approx([6, 4, -4, 4, -4, 4], abs=0.6)


def test_beyond_a_pointed_end_is_outside():
    lens = np.array([(0, 0), (50, 6), (100, 0), (50, -6)], float)
    far = distance(lens, np.array([[106, 112, -12]], np.float32), np.zeros((1, 3), np.float32))
    assert far[0] == pytest.approx([6, 12, 12], abs=0.8)


@pytest.mark.parametrize("n", range(1, 41))
def test_every_outline_is_star_shaped_about_its_centre(n):
    for outline in (heart(n).muscle, *(line for line, _ in heart(n).cavities)):
        on = distance(outline, *outline.T[:, None].astype(np.float32))
        assert np.abs(on).max() < 1


def test_axes_turn_and_shift():
    assert Axes((100, 50), 0).place([(10, 4)]).tolist() == [[110, 54]]  # s to the right, v down
    down = Axes((100, 50), np.pi / 2).place([(10, 4), (0, 0)])  # s down, v to the left
    assert down == pytest.approx(np.array([(96, 60), (100, 50)]))


def test_a_line_shifts_to_the_left_of_its_direction():
    line = np.array([(0, 0), (1, 0), (2, 0)], float)
    assert shift(line, 3).tolist() == [
        [0, -3],
        [1, -3],
        [2, -3],
    ]  # on the screen, where y runs down
    deeper = shift(line, -7)
    assert offset_at(deeper, 1.5) == offset_at(deeper[::-1], 1.5) == 7


def test_a_leaflet_runs_from_hinge_to_tip():
    line = leaflet((0, 0), (10, 0), 0.1)
    assert line[0].tolist() == [0, 0] and line[-1] == pytest.approx([10, 0])
    assert line[:, 1].min() == pytest.approx(-1, abs=0.02)
