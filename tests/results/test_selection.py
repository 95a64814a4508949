"""Which results words of a command line name: files, run ids, folders, globs."""

from __future__ import annotations

from pathlib import Path

import pytest

from usbench.errors import DataError
from usbench.results.selection import select_results

A, B, C = "unet-s0-aaaaaaaaaaaa", "unet-s1-bbbbbbbbbbbb", "fpn-s0-cccccccccccc"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """results/hc18/segment with three results and what lies beside them; the working directory is
    its parent's."""
    monkeypatch.chdir(tmp_path)
    segment = Path("results/hc18/segment")
    segment.mkdir(parents=True)
    for name in (A, B, C):
        for ending in (".json", ".cases.csv.gz", ".gallery.json.gz", ".html"):
            (segment / f"{name}{ending}").touch()
    other = Path("results/phantom/usgra/detect")
    other.mkdir(parents=True)
    (other / "yolov8-s0-dddddddddddd.json").touch()
    (tmp_path / "results/hc18/landmark").mkdir()
    return Path("results")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["hc18/segment"], [C, A, B]),
        (["results/hc18/segment"], [C, A, B]),
        (["results/hc18/segment/"], [C, A, B]),
        (["hc18/segment/unet-*"], [A, B]),
        (["results/hc18/segment/unet-*"], [A, B]),
        (["hc18/*/unet-s[1-9]-*.json"], [B]),
        (["hc18/*"], [C, A, B]),  # folders too
        (["bbbbbbbbbbbb", A], [B, A]),
        (["bbbb", "hc18/segment"], [B, C, A]),  # each once
        ([f"results/hc18/segment/{A}.cases.csv.gz", f"results/hc18/segment/{A}.html"], [A]),
        (["usgra/detect"], ["yolov8-s0-dddddddddddd"]),  # on phantoms, where no others are
        (["usgra/*/yolo*"], ["yolov8-s0-dddddddddddd"]),
    ],
)
def test_words_name_results(folder, words, names):
    assert [path.stem for path in select_results(words, folder)] == names


def test_paths_may_be_absolute(folder, tmp_path):
    word = str(tmp_path / "results" / "hc18" / "segment")
    assert len(select_results([word], folder)) == 3
    assert len(select_results([f"{word}/unet-*", "hc18/segment"], folder)) == 3  # each once


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("hc18", "hc18: expected a folder of results, got none directly in it; choose one of its"),
        ("hc18/landmark", "got none directly in it"),
        ("hc18/segment/net-*", "got one that matches none"),
        ("0123456789ab", "got 0 results of that name"),
        ("", "expected a result file or a run id"),
    ],
)
def test_a_word_that_names_nothing_is_an_error(folder, word, says):
    with pytest.raises(DataError, match=says):
        select_results([A, word], folder)


def test_the_advice_names_the_folders_with_results(folder):
    with pytest.raises(DataError, match=r"choose one of its folders: segment$"):
        select_results(["hc18"], folder)
