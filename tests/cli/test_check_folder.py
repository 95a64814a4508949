"""usbench check of a user's own folder: what it understands, what it draws, the command it ends with."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.release_files import save, speckle
from usbench.cli import check as verb
from usbench.cli.check_folder import name_dataset, split_root
from usbench.datasets.check.own_images import infer_classes
from usbench.errors import ConfigError, DataError
from usbench.io.config import quote_patterns

TREE = "BUSI/Dataset_BUSI_with_GT"
IMAGES, LABELS = f"{TREE}/{{kind}}/{{id}}.png", f"{TREE}/{{kind}}/{{id}}_mask*.png"
Check = Callable[..., tuple[int, str, str, dict[str, Any]]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: Any, capsys: Any) -> Check:
    """`check(*words)` in a folder with BUSI's tree: (exit code, stdout, stderr, JSON)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USBENCH_DATA", raising=False)
    seed = 0
    for kind, count in (("benign", 8), ("malignant", 5), ("normal", 3)):
        for n in range(1, count + 1):
            seed += 1
            name, mask = f"{TREE}/{kind}/{kind} ({n})", np.zeros((40, 50), np.uint8)
            save(Path(f"{name}.png"), speckle(40, 50, seed), "RGB")
            if kind != "normal":
                mask[10:20, 5 : 15 + n] = 255
            save(Path(f"{name}_mask.png"), mask, "RGB" if kind == "normal" else "1")
            if n == 2 and kind == "benign":
                save(Path(f"{name}_mask_1.png"), np.flipud(mask), "1")

    def command(*words: str) -> tuple[int, str, str, dict[str, Any]]:
        code = verb.main(["--dataset", "folder", *words, "--json", "found.json"])
        done = capsys.readouterr()
        path = Path("found.json")
        return code, done.out, done.err, json.loads(path.read_text()) if path.is_file() else {}

    return command


def trained_by(out: str) -> list[str]:
    """The words of the command that the check ends with."""
    line = out.strip().splitlines()[-1]
    assert line.startswith("to train on them: usbench dataset=folder ")
    return shlex.split(line.removeprefix("to train on them: usbench "))


def test_busi_s_tree_is_understood(check: Check, tmp_path: Path, compose: Any) -> None:
    code, out, _, found = check("--images", IMAGES, "--labels", LABELS, "--classes", "lesion")
    assert code == 0
    own = found["own_images"]
    assert own["classes"] == ["lesion"] and own["masks_each"] == {"1": 15, "2": 1}
    assert own["fields"] == {"kind": {"benign": 8, "malignant": 5, "normal": 3}}
    assert own["values"] == [
        {"stored": "1 bit", "value": "1", "files": "14", "taken_for": "lesion"},
        {"stored": "any", "value": "0 alone", "files": "3", "taken_for": "nothing is there"},
    ]
    assert found["images"]["sizes"] == {"40×50": 16}
    assert "masks    1 for 15 images, 2 for 1 image: {kind}/{id}_mask*.png" in out
    with Image.open("runs/check/Dataset_BUSI_with_GT-masks.png") as sheet:
        pixels = np.array(sheet).astype(int)
    assert (np.ptp(pixels, axis=2) > 40).sum() > 1000  # masks are tinted
    node = compose(*quote_patterns(trained_by(out)))["dataset"]
    assert (node["name"], node["classes"]) == ("Dataset_BUSI_with_GT", ["lesion"])
    assert node["images"] == "{kind}/{id}.png" and node["root"] == str(tmp_path / TREE)


def test_classes_that_nobody_names_come_from_the_values(check: Check) -> None:
    _, out, _, found = check("--images", IMAGES, "--labels", LABELS)
    assert "classes: nobody has named them; by the masks' values they are foreground" in out
    assert found["own_images"]["classes"] == ["foreground"]
    assert "dataset.classes=[foreground]" in trained_by(out)


def test_a_class_without_a_pixel_is_left_out_of_the_command(check: Check) -> None:
    images, labels = (text.replace("kind", "class") for text in (IMAGES, LABELS))
    code, out, _, found = check("--images", images, "--labels", labels)
    assert code == 0 and found["own_images"]["classes"] == ["benign", "malignant", "normal"]
    assert "dataset.classes=[benign,malignant]" in trained_by(out)


def test_an_unknown_value_is_shown_and_an_error(check: Check) -> None:
    path = Path(TREE, "benign/benign (1)_mask.png")
    save(path, np.full((40, 50), 7, np.uint8))
    code, out, _, found = check("--images", IMAGES, "--labels", LABELS, "--classes", "lesion")
    assert code == 1 and "nothing: an error" in out and "to train" not in out
    assert {
        "stored": "grey",
        "value": "7",
        "files": "1",
        "taken_for": "nothing: an error",
    } in found["own_images"]["values"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--images", "no", "--labels", "no/{id}_m.png"), 1, "/no: no such folder"),
        (("--images", TREE, "--labels", TREE), 2, "same file: give a suffix, such as --images"),
        (("--images", TREE, "--labels", LABELS), 1, "subfolders benign, malignant, normal aren't"),
        (("--images", IMAGES), 2, "--labels: expected a folder or a pattern, got none"),
        (("--images", "../x", "--labels", "x", "--root", "."), 2, "expected a path below --root"),
        (("--classes", "lesion", "dataset.root=no"), 1, "no: no such folder"),
    ],
)
def test_a_wrong_command_is_one_line(
    check: Check, words: tuple[str, ...], code: int, says: str
) -> None:
    done, _, err, _ = check(*words)
    assert done == code and says in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("images", "labels", "root", "expected"),
    [
        ("a/{k}/{id}.png", "a/{k}/{id}_m.png", None, ("a", "{k}/{id}.png", "{k}/{id}_m.png")),
        ("a/scans", "a/masks", None, ("a", "scans", "masks")),
        ("a/scans", "a/scans/{id}_m.png", None, ("a/scans", ".", "{id}_m.png")),
        ("{id}.png", "m/{id}.png", "a", ("a", "{id}.png", "m/{id}.png")),
    ],
)
def test_the_root_holds_both(
    tmp_path: Path, monkeypatch: Any, images: str, labels: str, root: Any, expected: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_root(images, labels, root) == (tmp_path / expected[0], *expected[1:])


def test_a_root_holds_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--labels .*expected a path below --root"):
        split_root("images", "/elsewhere", str(tmp_path))


@pytest.mark.parametrize(
    ("folder", "name"),
    [("my scans (2)", "my_scans_2"), ("busi", "own_busi"), ("…", "own"), ("liver", "liver")],
)
def test_a_folder_s_dataset_has_no_release_s_name(folder: str, name: str) -> None:
    assert name_dataset(Path("/data", folder)) == name


@pytest.mark.parametrize(
    ("values", "mixed", "expected"),
    [
        ([], False, (["foreground"], {})),
        ([1, 255], False, (["foreground"], {})),
        ([1, 255], True, (["value_1", "value_255"], {"value_1": 1, "value_255": 255})),
        ([128], False, (["value_128"], {"value_128": 128})),
        ([1, 2, 3], True, (["value_1", "value_2", "value_3"], {})),
    ],
)
def test_names_of_values(values: list[int], mixed: bool, expected: Any) -> None:
    assert infer_classes(values, mixed, Path("/data")) == expected


def test_grey_masks_have_no_classes() -> None:
    with pytest.raises(DataError, match=r"/data: expected masks of at most 8 values, got 9 \(1, 2"):
        infer_classes(range(1, 10), True, Path("/data"))


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        ("dataset.images={kind}/{id}.png", "dataset.images='{kind}/{id}.png'"),
        (r"dataset.labels={n:\d+}_m*.png", r"dataset.labels='{n:\d+}_m*.png'"),
        ("dataset.images='{id}.png'", None),
        ("dataset.images={train: a, test: b}", None),
        ("dataset.images=images", None),
        ("model.build={a}", None),
    ],
)
def test_patterns_need_no_quotes_of_hydra_s(argument: str, quoted: str | None) -> None:
    assert quote_patterns([argument]) == [quoted or argument]
