"""What usbench leaderboard writes besides the Markdown, and checks."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.helpers.paths import ROOT
from tests.leaderboard.page.site import net
from tests.leaderboard.test_leaderboard import ENTRY, make_result, written
from usbench.cli import leaderboard
from usbench.leaderboard.page import document
from usbench.leaderboard.published import read_datasets
from usbench.results.result import Result
from usbench.results.store import save_result


def test_data_can_t_end_their_element_and_libraries_can_t_either(tmp_path, monkeypatch):
    text = document.as_json({"a": "</script><!--", "b": "\u2028"})
    assert "<" not in text and json.loads(text) == {"a": "</script><!--", "b": "\\u2028"}
    monkeypatch.setattr(document, "ASSETS", tmp_path)
    document.asset.cache_clear()
    (tmp_path / "x.js").write_text('const end = "</SCRIPT>";')
    with pytest.raises(ValueError, match=r"x\.js"):
        document.inline_asset("script", "x.js")
    document.asset.cache_clear()


@pytest.fixture
def place(tmp_path):
    """Options of usbench leaderboard for two results, a phantom's and a published row."""
    for content in (net("unet", 0.7, 1), net("unet", 0.6, 1, seed=1)):
        save_result(tmp_path / "results", Result.from_json(content))
    phantom = make_result(0.987, 2, data={**make_result()["data"], "phantom": True})
    save_result(tmp_path / "results", Result.from_json(phantom))
    conf = written(tmp_path / "conf", [ENTRY])
    return [
        f"--results={tmp_path / 'results'}",
        f"--runs={tmp_path / 'runs'}",
        f"--config-dir={conf}",
    ]


def test_the_command_writes_pages_and_checks_them(place, tmp_path, capsys):
    top = tmp_path / "results"
    assert leaderboard.main([*place, "--check"]) == 1 and not (top / "index.html").exists()
    assert leaderboard.main(place) == 0
    files = {
        path: path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.suffix in (".html", ".css", ".js") or path.name == "README.md"
    }
    page = (top / "index.html").read_text("utf-8")
    pages = [path.relative_to(top).as_posix() for path in files if path.parent.name == "segment"]
    assert len(pages) == 2 and all(f'"{name}"' in page for name in pages)  # a page of each, linked
    assert ".987" not in page and "987" not in json.dumps(pages)  # of no phantom
    assert leaderboard.main([*place, "--check"]) == 0
    shutil.rmtree(tmp_path / "runs")
    assert leaderboard.main(place) == 0
    assert files == {path: path.read_bytes() for path in files}
    for path in (
        top / "index.html",
        top / "README.md",
        top / pages[0],
        top / "assets" / "page.css",
    ):
        path.write_bytes(path.read_bytes() + b" ")
        capsys.readouterr()
        assert leaderboard.main([*place, "--check"]) == 1
        assert capsys.readouterr().err.startswith(str(path))
        assert leaderboard.main(place) == 0 and path.read_bytes() == files[path]


def test_the_committed_leaderboard_and_its_pages_are_what_the_results_give(tmp_path):
    assert leaderboard.main(["--check", "--runs", str(tmp_path / "runs")]) == 0


def test_a_page_whose_result_is_gone_goes_too(place, tmp_path, capsys):
    assert leaderboard.main(place) == 0
    left = next((tmp_path / "results").glob("*/*/*.html")).with_name("gone-s0-0123456789ab.html")
    left.write_text("of a result that was removed")
    assert (
        leaderboard.main([*place, "--check"]) == 1
        and left.name in capsys.readouterr().err
        and left.exists()
    )
    assert leaderboard.main(place) == 0 and not left.exists()
    assert leaderboard.main([*place, "--check"]) == 0


def test_phantoms_have_no_page(place, tmp_path):
    assert leaderboard.main([*place, "--phantom"]) == 0
    assert (tmp_path / "results" / "phantom" / "LEADERBOARD.md").exists()
    assert not list((tmp_path / "results").rglob("*.html"))


def test_what_a_dataset_leaks_and_lacks_is_read_from_its_yaml():
    notes = {dataset.name: dataset.notes for dataset in read_datasets(ROOT / "conf")}
    kinds = [(note.kind, note.task) for note in notes["spinal"]]
    assert kinds == [
        ("defect", "segment"),
        ("defect", "detect"),
        ("groups", ""),
        ("split", ""),
        ("access", ""),
    ]
    assert (
        notes["spinal"][0].description == "stray pixels: 13"
        and "7 of the 40" in notes["usgra"][0].description
    )
