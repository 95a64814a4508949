"""What a reader must know of the data: said before a run, in its result and by the leaderboard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from usbench.leaderboard.published import Note, read_notes
from usbench.results.result import Data, from_json, to_json
from usbench.runner.announce import run_facts
from usbench.runner.config import RunConfig, Transfer
from usbench.runner.facts import notes_on_data
from usbench.runner.resolve import resolve_config
from usbench.types import Layout

COPY = "a copy, not the release"


class Copied(Layout):
    """A layout that has something to say of its files."""

    def notes(self, root):
        return [f"{COPY}: {root.name}"]


@pytest.fixture
def config(compose, tmp_path) -> RunConfig:
    overrides = [f"runs={tmp_path}/runs", f"results={tmp_path}/results", "recipe=tiny"]
    overrides += ["source=phantom", "tracking=none", "device=cpu", "threads=1", "model=unet"]
    overrides += ["dataset.phantom.size=[64,64]", "dataset.phantom.counts={train: 20}"]
    config = resolve_config(compose("dataset=psfhs", *overrides))
    return replace(config, dataset=replace(config.dataset, overlaps={"fhpsaop": "257 images"}))


def transfer_from(name: str, config: RunConfig) -> RunConfig:
    return replace(config, transfer=Transfer(name, "0" * 12, config.runs, {}, (), ()))


@pytest.mark.parametrize(
    ("trained_on", "notes"),
    [("fhpsaop", ("shares images with fhpsaop: 257 images",)), ("busbra", ())],
)
def test_images_that_the_training_data_have_too_are_named(config, trained_on, notes):
    config = transfer_from(trained_on, config)
    assert notes_on_data(config, config.open_dataset()) == notes


def test_a_run_on_its_own_dataset_shares_with_none(config):
    assert notes_on_data(config, config.open_dataset()) == ()


@pytest.mark.parametrize(("phantom", "said"), [(True, []), (False, [f"{COPY}: files"])])
def test_what_a_layout_says_of_its_files_is_announced(config, tmp_path, phantom, said):
    """Of a phantom it says nothing: usbench drew the files itself."""
    dataset = replace(config.open_dataset(), layout=Copied())
    (tmp_path / "files").symlink_to(dataset.root)
    dataset = replace(dataset, root=tmp_path / "files")
    facts = run_facts(replace(config, phantom=phantom), dataset, None)
    assert [text for name, text in facts if name == "note"] == said


def test_notes_are_kept_in_a_result_and_left_out_where_there_are_none():
    data = Data("f", {"test": 1}, False, notes=(COPY,))
    assert to_json(data)["notes"] == [COPY] and from_json(Data, to_json(data)) == data
    assert "notes" not in to_json(replace(data, notes=()))


def test_the_leaderboard_names_what_datasets_share():
    content = {"overlaps": {"hc18": "all 999\n images"}}
    assert list(read_notes(content)) == [Note("overlap", "hc18: all 999 images")]
