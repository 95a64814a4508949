"""usbench bibtex: which entries, whole or of a citation line; every shipped one is BibTeX."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import usbench
from tests.helpers.paths import ROOT
from tests.leaderboard.test_leaderboard import make_result
from usbench.catalogue.cards import load_cards
from usbench.catalogue.citations import (
    USBENCH,
    card_entry,
    dataset_entries,
    misc_entry,
    model_entries,
)
from usbench.cli import bibtex
from usbench.datasets.config import DatasetConfig
from usbench.errors import ConfigError
from usbench.io.bibtex import Entry, write_entries
from usbench.results.result import Result
from usbench.results.store import load_result, save_result
from usbench.runner.config import RunConfig

YAMLS = {path.stem: path for path in sorted((ROOT / "conf" / "dataset").glob("*.yaml"))}
NODES = {name: yaml.safe_load(path.read_text("utf-8")) for name, path in YAMLS.items()}
WITH_ENTRIES = [name for name, node in NODES.items() if "bibtex" in node]
CARDS = {card.key: card for card in load_cards().models if card.key}


# ---- a reader of BibTeX that shares nothing with ours: one character after the other


def parse(text: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(kind, key, fields) of each entry; AssertionError for what BibTeX can't read."""
    place = 0
    while (at := text.find("@", place)) >= 0:
        assert not text[place:at].strip()  # nothing between entries
        opening = text.index("{", at)
        depth, end = 1, opening + 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        yield text[at + 1 : opening], *split_entry(text[opening + 1 : end - 1])
        place = end
    assert not text[place:].strip()


def split_entry(body: str) -> tuple[str, dict[str, str]]:
    """(key, fields) of what is between an entry's braces."""
    parts, depth = [""], 0
    for letter in body:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    key, *fields = (part.strip() for part in parts)
    assert re.fullmatch(r"[\w.:+-]+", key, re.ASCII), key
    values = {}
    for name, equals, value in (field.partition("=") for field in fields):
        assert equals and re.fullmatch(r"\w+", name.strip()), name
        value = value.strip()
        assert value[0] == "{" and value[-1] == "}", value
        assert name.strip() not in values
        values[name.strip()] = value[1:-1]
    return key, values


UNESCAPED = re.compile(r"(?<!\\)[&%#$_^~](?![a-z]*\$)")
RAW = ("doi", "eprint", "url")  # fields that styles print as they are


def check(text: str) -> dict[str, dict[str, str]]:
    """The fields of each entry by key, if the text is BibTeX that LaTeX can print."""
    entries = {}
    for _, key, fields in parse(text):
        assert key not in entries
        entries[key] = fields
        for name, value in fields.items():
            assert name in RAW or not UNESCAPED.search(value.replace("$-$", "")), (key, value)
    return entries


# ---- what is shipped


@pytest.mark.parametrize("name", WITH_ENTRIES)
def test_a_shipped_entry_is_in_the_form_that_is_written(name):
    entries = dataset_entries(name, NODES[name])
    assert write_entries(entries) == NODES[name]["bibtex"]
    for fields in check(NODES[name]["bibtex"]).values():
        assert fields["title"] and re.fullmatch(r"\d{4}", fields["year"])
    DatasetConfig.from_mapping(NODES[name])


def test_every_model_that_runs_has_a_card_with_entries():
    assert CARDS.keys() == {path.stem for path in (ROOT / "conf" / "model").glob("*.yaml")}
    for name, card in CARDS.items():
        text = card.value("bibtex")
        assert write_entries(model_entries(name, {}, card)) == text
        for fields in check(text).values():
            assert fields["author"] and fields["title"] and re.fullmatch(r"\d{4}", fields["year"])
            assert fields.keys() & {"booktitle", "journal", "eprint", "url"}  # where it appeared


def test_all_datasets_and_models_together_are_bibtex(capsys):
    """Datasets or models that share an entry, such as TN3K and TG3K, write it once."""
    assert bibtex.main(["--dataset", *NODES, "--model", *CARDS]) == 0
    output = capsys.readouterr()
    entries = check(output.out)
    assert entries["gong2023trfeplus"]["volume"] == "155" and "usbench" in entries
    assert len(WITH_ENTRIES) == 20
    warned = set(re.findall(r"^dataset (\w+): no BibTeX known", output.err, flags=re.M))
    assert warned == NODES.keys() - set(WITH_ENTRIES)
    assert {f"dataset-{name}" for name in warned} <= entries.keys()
    assert {"ronneberger2015unet", "liu2016ssd", "jocher2023yolov8"} <= entries.keys()
    assert not re.search(r"^model ", output.err, flags=re.M)


def test_usbench_is_cited_as_its_citation_file_says():
    stated = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert USBENCH.fields["title"] == stated["title"]
    assert USBENCH.fields["author"] == f"{{{stated['authors'][0]['name']}}}"
    assert USBENCH.fields["note"].endswith(f"version {stated['version']}")
    assert stated["version"] == usbench.__version__


# ---- an entry by hand


@pytest.mark.parametrize(
    ("citation", "fields"),
    [
        ("Ng 2020, arXiv 2001.01234", {"eprint": "2001.01234", "archiveprefix": "arXiv"}),
        ("Ng 2020, doi 10.1000/a_b", {"doi": "10.1000/a_b"}),
        ("Ng 2020, doi 10.1000/a, arXiv 2001.01234", {}),  # which of the two isn't known
        ("Ng 2020, doi 10.1000/a; data by Wu", {}),  # two works
        ("Ng & Wu, 100 % {of} it", {}),
    ],
)
def test_the_entry_of_a_citation_line(citation, fields):
    entry = misc_entry("dataset-x", "X_1", citation)
    given = {name: value for name, value in entry.fields.items() if name in {*RAW, "archiveprefix"}}
    assert (entry.kind, entry.key, given) == ("misc", "dataset-x", fields)
    assert entry.fields["title"] == r"{X\_1}"
    (checked,) = check(write_entries([entry])).values()
    assert checked == entry.fields


def test_special_characters_of_a_note_are_escaped():
    note = misc_entry("a", "A", "Ng & Wu, 100 % {of} it, a_b").fields["note"]
    assert note == r"Ng \& Wu, 100 \% \textbraceleft{}of\textbraceright{} it, a\_b"


def test_a_model_without_a_citation_names_its_code():
    entry = card_entry(CARDS["yolo11"])
    assert entry.fields["howpublished"] == "https://github.com/ultralytics/ultralytics"
    assert "note" not in entry.fields and entry.fields["year"] == "2024"
    assert card_entry(CARDS["unet"]).fields["eprint"] == "1505.04597"


# ---- the command


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Three results below ./results: a run on hc18, a baseline on usgra, one on a phantom."""
    monkeypatch.chdir(tmp_path)
    run = Result.from_json(make_result(dataset="hc18", model="fpn"))
    prior = replace(run, dataset="usgra", model="prior", origin="baseline", seed=None)
    drawn = replace(run.data, phantom=True)
    phantom = replace(run, dataset="busi", model="unet", run_id="b" * 12, data=drawn)
    trained = replace(run, trained_on="fetalbiometry", model="upernet", run_id="c" * 12)
    for result in (run, replace(prior, run_id="a" * 12), phantom, trained):
        save_result(Path("results"), result)
    return run


def keys(capsys) -> list[str]:
    return list(check(capsys.readouterr().out))


def test_without_names_all_results_on_real_data_count(results, capsys):
    assert bibtex.main([]) == 0
    expected = ["usbench", "divece2026multicentre", "vandenheuvel2018hc18", "dataset-usgra"]
    models = ["kirillov2019panopticfpn", "xiao2018upernet"]  # a baseline is no model
    assert keys(capsys) == [*expected, *models]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["usgra/segment"], ["dataset-usgra"]),
        (
            ["hc18/segment/fpn-*"],
            ["vandenheuvel2018hc18", "divece2026multicentre", "kirillov2019panopticfpn"],
        ),
        (["b" * 12], ["ronneberger2015unet"]),  # no image of busi was used
        (["a" * 12, "--model", "unet"], ["dataset-usgra", "ronneberger2015unet"]),
        (["--model", "unet", "--dataset", "stu"], ["zhuang2019rdau", "ronneberger2015unet"]),
        (["--model", "ssd512", "ssd300"], ["liu2016ssd"]),
    ],
)
def test_what_is_named_counts(results, capsys, arguments, expected):
    assert bibtex.main(arguments) == 0
    assert keys(capsys) == ["usbench", *expected]


def test_a_result_on_a_phantom_is_said(results, capsys):
    assert bibtex.main(["b" * 12]) == 0
    assert (
        "dataset busi: 1 result on its phantom, which has none of its images"
        in capsys.readouterr().err
    )


def test_a_damaged_result_is_left_out(results, capsys):
    path = Path(f"results/hc18/segment/fpn-s0-{results.run_id}.json")
    path.write_text("{")
    assert bibtex.main([]) == 0
    output = capsys.readouterr()
    assert output.err.startswith(f"left out: {path}: ") and "panopticfpn" not in output.out


def test_entries_are_written_as_text_and_json(results, capsys):
    assert bibtex.main(["--dataset", "stu", "--out", "a.bib", "--json", "a.json"]) == 0
    assert capsys.readouterr().out == "a.bib: 2 entries\n"
    (key, stu) = list(check(Path("a.bib").read_text()).items())[-1]
    entry = json.loads(Path("a.json").read_text())["entries"][-1]
    assert (entry["kind"], entry["key"], entry["fields"]) == ("article", key, stu)


def own(group: str, **content: str) -> list[str]:
    """Arguments for a dataset or model `mine` of a folder of configuration."""
    folder = Path("conf", group)
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", **content}))
    return [f"--{group}", "mine", "--config-dir", "conf"]


@pytest.mark.parametrize("group", ["dataset", "model"])
def test_a_dataset_or_model_of_ones_own(results, capsys, group):
    text = "@misc{mine2026, title = {Mine}, year = 2026}"
    assert bibtex.main(own(group, bibtex=text)) == 0
    output = capsys.readouterr()
    assert list(check(output.out)) == ["usbench", "mine2026"] and not output.err


@pytest.mark.parametrize("group", ["dataset", "model"])
def test_one_s_own_without_entries_is_said(results, capsys, group):
    assert bibtex.main(own(group)) == 0
    warning = f"{group} mine: no citation known; add one, or `bibtex` to its YAML\n"
    assert capsys.readouterr().err == warning


@pytest.mark.parametrize("group", ["dataset", "model"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Ng 2026", "=mine: bibtex: expected BibTeX, @kind{key, …}; got 'Ng 2026'"),
        ("@misc{usbench, note = {x}}", "expected one entry of the key usbench, got two"),
    ],
)
def test_a_bad_entry_is_one_line(results, capsys, group, text, says):
    assert bibtex.main(own(group, bibtex=text)) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_a_card_without_entries_is_said(capsys):
    card = CARDS["unet"]
    fields = {name: field for name, field in card.fields.items() if name != "bibtex"}
    (entry,) = bibtex.entries_of_model("unet", {}, replace(card, fields=fields))
    assert entry.key == "model-unet"
    assert "model unet: no BibTeX known; its citation line is the note" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--dataset", "hc1"], 2, "--dataset hc1: expected one of aul, "),
        (["--model", "unett"], 2, "did you mean unet?"),
        (["--results", "none"], 1, "none: expected finished results, got none"),
        (["nothing"], 1, "got 0 results of that name"),
    ],
)
def test_what_is_unknown_is_one_line(results, capsys, arguments, code, says):
    assert bibtex.main(arguments) == code
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


@pytest.mark.parametrize("value", ["Ng 2026", 5, "", ["@misc{a, note = {x}}"]])
def test_a_dataset_s_bibtex_is_checked_where_it_is_read(value):
    with pytest.raises(ConfigError, match="dataset=stu: bibtex: expected"):
        DatasetConfig.from_mapping({**NODES["stu"], "bibtex": value})


def test_entries_are_no_part_of_a_result(tmp_path):
    """Results and run ids stay as they were."""
    path = min((ROOT / "results" / "usgra" / "segment").glob("unet-s0-*.json"))
    content = load_result(path).config
    text = "@misc{a, note = {x}}"
    stated = {**content, "dataset": {**content["dataset"], "bibtex": text}}
    places = dict.fromkeys(("root", "runs", "results"), str(tmp_path))
    config = RunConfig.from_mapping(stated, **places, tracking="none", debug=False)
    assert config.dataset.bibtex == text and config.to_mapping()["dataset"]["bibtex"] == text
    assert "bibtex" not in config.public_mapping()["dataset"]


def test_entries_of_one_key_must_be_equal():
    one, other = (Entry("misc", "a", {"note": note}) for note in "xy")
    assert bibtex.unique_entries([one, one]) == [one]
    with pytest.raises(ConfigError, match="key a, got two"):
        bibtex.unique_entries([one, other])
