"""The catalogue: shipped cards are sound, scores as by hand, and what is wrong is named."""

from __future__ import annotations

import csv
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema_rs import meta

import usbench.catalogue
from tests.helpers.paths import ROOT
from usbench.catalogue import cards, rubrics, scoring, tables
from usbench.catalogue.cards import SHIPPED, Card, Field
from usbench.cli import catalogue, check
from usbench.datasets.check import card_comparison
from usbench.errors import ConfigError, DataError
from usbench.io.json_schema import load_schema
from usbench.io.yaml_file import read_yaml

NO_RELEASE = {"folder", "phantom"}  # of conf/dataset
REAL = os.environ.get("USBENCH_TEST_DATA", "")
TIERS = ["Diamond", "Platinum", "Gold", "Silver", "Bronze", "Steel"]


@functools.cache
def shipped() -> cards.Cards:
    return cards.load_cards()


@functools.cache
def sheets() -> dict[str, rubrics.Rubric]:
    return rubrics.load_rubrics()


@functools.cache
def configured(group: str) -> dict[str, dict[str, Any]]:
    """The YAML of every file of a configuration group."""
    return {path.stem: read_yaml(path) for path in sorted((ROOT / "conf" / group).glob("*.yaml"))}


def dataset(key: str) -> Card:
    return next(card for card in shipped().datasets if card.key == key)


@pytest.fixture
def write_cards(tmp_path) -> Callable[..., Path]:
    """`write_cards(datasets={…}, models={…}, rubric={…})` → a folder; text is written as is."""

    def written(datasets: Any = None, models: Any = None, rubric: Any = None) -> Path:
        folder = tmp_path / "cards"
        folder.mkdir(exist_ok=True)
        for name, content in (("datasets", datasets), ("models", models)):
            text = (
                content
                if isinstance(content, str)
                else yaml.safe_dump(content or {}, allow_unicode=True)
            )
            (folder / f"{name}.yaml").write_text(text)
        if rubric is not None:
            shutil.copytree(SHIPPED / "rubrics", folder / "rubrics", dirs_exist_ok=True)
            (folder / "rubrics" / f"{rubric['name']}.yaml").write_text(yaml.safe_dump(rubric))
        return folder

    return written


def raw(**fields: Any) -> dict[str, Any]:
    """A dataset's card as YAML has it."""
    return {
        "name": "Ours",
        "key": None,
        "alsharid2025": None,
        "source": "our paper",
        "verified": "author",
        **fields,
    }


def model(**fields: Any) -> dict[str, Any]:
    return {"name": "Net", "key": None, "source": "our paper", "verified": "author", **fields}


# ---- what is shipped


def test_the_schemas_are_schemas_and_refuse_unknown_keys():
    for name in ("card.dataset", "card.model", "rubric"):
        schema = load_schema("usbench.catalogue", f"{name}.schema.json").content
        meta.validate(schema)
        assert schema["additionalProperties"] is False


def test_the_72_names_of_the_table_all_have_one_card():
    rows = sorted(card.row for card in shipped().datasets if card.row is not None)
    assert rows == list(range(1, 73))


def test_what_usbench_runs_has_a_card_and_no_other_card_says_so():
    assert {card.key for card in shipped().datasets if card.key} == set(
        configured("dataset")
    ) - NO_RELEASE
    assert {card.key for card in shipped().models if card.key} == set(configured("model"))


@pytest.mark.parametrize("key", sorted(set(configured("dataset")) - NO_RELEASE))
def test_the_card_of_a_dataset_that_usbench_runs_is_complete_and_agrees_with_its_yaml(key):
    card, node = dataset(key), configured("dataset")[key]
    missing = [name for name in cards.fields_of("dataset") if name not in card.fields]
    assert not missing, f"{card.id}: neither known nor unknown for a reason: {missing}"
    assert set(node["views"]) <= set(card.value("tasks"))
    named = {name for view in node["views"].values() for name in view["classes"] or ()}
    assert card.value("classes") is None or named <= set(card.value("classes"))
    assert card.value("leaks") in (
        [len(node["leakage"]["images"])] if "leakage" in node else [None, 0]
    )
    counts = list((node.get("published_counts") or {}).values())
    splits = [
        view.get("images") or sum(view.get(split, 0) for split in ("train", "val", "test"))
        for view in counts
    ]
    # Only spinal's views have images of their own.
    assert not counts or card.value("images") == (sum if key == "spinal" else max)(splits)


def test_commands_name_a_dataset_and_a_model_that_are_there():
    datasets, models = set(configured("dataset")), set(configured("model"))
    for card in (*shipped().datasets, *shipped().models):
        if card.command is None:
            continue
        overrides = dict(
            override.split("=", 1)
            for override in card.command.removeprefix("python -m usbench ").split()
        )
        assert overrides["dataset"] in datasets and overrides["model"] in models, card.command
        assert card.key in card.command
        tasks = {configured("model")[overrides["model"]]["task"]}
        assert tasks & set(configured("dataset")[overrides["dataset"]]["views"]), card.command


@pytest.mark.parametrize(
    ("card", "wrong"),
    [
        ("kfgnet", "brain"),
        ("cubs", "breast"),
        ("tus-rec", "thyroid"),
        ("lepset", "liver"),
        ("luminous", "lung"),
        ("c-trus", "prostate"),
        ("fallmud", "phantom"),
        ("acouslic-ai", "fetus"),
        ("bite", "liver"),
        ("ucla", "breast"),
    ],
)
def test_a_wrong_cell_of_the_copied_table_is_not_on_the_card(card, wrong):
    assert wrong not in (shipped().find(card).value("anatomy") or ())


def test_the_kidney_card_links_the_release_and_not_the_tables_other_repository():
    assert dataset("kidney").value("links")[0] == "https://github.com/rsingla92/kidneyUS"
    assert not any("nikhilroxtomar" in path.read_text() for path in SHIPPED.glob("*.yaml"))


def test_fields_have_sources_and_those_of_the_copied_table_are_not_verified_by_authors():
    for card in (*shipped().datasets, *shipped().models):
        for name, field in card.fields.items():
            assert field.source and field.verified in ("author", "third-party", "no")
            if "third-party copy" in field.source:
                assert field.verified != "author", f"{card.id}.{name}"


def test_no_dataset_has_a_tier_of_the_papers():
    assert not any(tier in path.read_text() for path in SHIPPED.glob("*.yaml") for tier in TIERS)
    for name in ("sonodqs", "sonomqs"):
        assert [tier.name for tier in sheets()[name].tiers] == TIERS and sheets()[
            name
        ].criteria == ()
    view = usbench.catalogue.view()
    assert {card["score"]["rubric"] for card in view["datasets"]} == {"usbench-dataset"}
    assert {card["score"]["rubric"] for card in view["models"]} == {"usbench-model"}


@pytest.mark.parametrize("name", ["usbench-dataset", "usbench-model"])
def test_our_rubrics_are_of_100_points(name):
    assert sheets()[name].maximum == 100


def test_the_committed_files_are_what_the_cards_give():
    assert (ROOT / "results/CATALOGUE.md").read_text() == tables.format_markdown(
        shipped(), sheets()
    )
    assert (ROOT / "results/CATALOGUE.csv").read_text() == tables.format_csv(shipped(), sheets())


# ---- cards


def test_a_card_gives_its_source_to_the_fields_that_have_none(write_cards):
    folder = write_cards(
        {
            "ours": raw(
                images=12,
                subjects={"value": 3, "source": "a letter", "verified": "no", "note": "pigs"},
                centres={"unknown": "nobody knows"},
            )
        }
    )
    (card,) = cards.load_cards(folder).datasets
    assert card.fields["images"] == Field(12, None, "our paper", "author")
    assert card.fields["subjects"] == Field(3, None, "a letter", "no", "pigs")
    assert card.fields["centres"] == Field(None, "nobody knows", "our paper", "author")
    assert (
        card.fields["centres"].value is None
        and "videos" not in card.fields
        and card.value("videos") is None
    )
    assert card.key is None


BAD = [  # datasets, models, key, words
    ({"ours": raw(image=3)}, {}, "datasets.yaml: key ours:", "'image' was unexpected"),
    (
        {"ours": raw(images=-3)},
        {},
        "datasets.yaml: key ours.images:",
        "-3 is less than the minimum of 0",
    ),
    (
        {"ours": raw(images="many")},
        {},
        "datasets.yaml: key ours.images:",
        '"many" is not of type "integer"',
    ),
    (
        {"ours": raw(images={"value": "x"})},
        {},
        "datasets.yaml: key ours.images.value:",
        '"x" is not of type "integer"',
    ),
    (
        {"ours": raw(images={"value": 3, "unknown": "why"})},
        {},
        "datasets.yaml: key ours.images:",
        "valid under more than one",
    ),
    (
        {"ours": raw(images={"value": 3, "sauce": "x"})},
        {},
        "datasets.yaml: key ours.images:",
        "'sauce' was unexpected",
    ),
    (
        {"ours": raw(anatomy=["elbow"])},
        {},
        "datasets.yaml: key ours.anatomy[0]:",
        '"elbow" is not one of',
    ),
    ({"ours": raw(licence="free")}, {}, "datasets.yaml: key ours.licence:", '"free" is not one of'),
    ({"ours": raw(verified=False)}, {}, "datasets.yaml: key ours.verified:", "false is not one of"),
    (
        {"ours": raw(links=["github.com"])},
        {},
        "datasets.yaml: key ours.links[0]:",
        "does not match",
    ),
    ({"ours": raw(key="ours")}, {}, "datasets.yaml: key ours:", '"command" is a required property'),
    ({"ours": {"name": "Ours"}}, {}, "datasets.yaml: key ours:", "is a required property"),
    ({"ours": None}, {}, "datasets.yaml: key ours:", 'null is not of type "object"'),
    ({"Our Set": raw()}, {}, "datasets.yaml: key Our Set:", "expected an id of a-z"),
    (
        {"a": raw(alsharid2025=4), "b": raw(alsharid2025=4)},
        {},
        "datasets.yaml: key b.alsharid2025:",
        "a has 4 already",
    ),
    ({}, {"net": model(training=["ours"])}, "models.yaml: key net.training:", "got ours"),
    (
        {},
        {"net": model(published=[{"dataset": "ours", "description": "Dice 1"}])},
        "models.yaml: key net.published:",
        "got ours",
    ),
    ({"net": raw()}, {"net": model()}, "models.yaml: key net:", "expected an unused id"),
    ({}, {"net": model(anatomy=["heart"])}, "models.yaml: key net:", "'anatomy' was unexpected"),
    ({}, {"net": model(bibtex="Ng 2026")}, "models.yaml: key net.bibtex:", "got 'Ng 2026'"),
    ("a: [", {}, "datasets.yaml:", "expected YAML"),
    ("- a", {}, "datasets.yaml:", "expected a mapping, got list"),
    ("a: 1\nb: 2\na: 3\n", {}, "datasets.yaml:", "the key a is there twice"),
    ("a: {name: x, name: y}\n", {}, "datasets.yaml:", "the key name is there twice"),
]


@pytest.mark.parametrize(("datasets", "models", "where", "message"), BAD)
def test_a_bad_card_is_named_with_its_file_and_key(datasets, models, where, message, write_cards):
    with pytest.raises(DataError) as wrong:
        cards.load_cards(write_cards(datasets, models))
    shown = str(wrong.value)
    assert f"/cards/{where}" in shown and message in shown and "\n" not in shown


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"datasets.yaml: can't be read \(No such file"):
        cards.load_cards(tmp_path)


@pytest.mark.parametrize("name", ["usgra", "USGRA", "usgra-seg"])
def test_a_card_is_found_by_id_key_or_name(name):
    assert shipped().find(name).id == "usgra"


def test_a_key_with_an_underscore_finds_its_card():
    assert shipped().find("spinal_human").id == "spinal-human"


def test_a_word_that_names_no_card_says_what_is_near():
    with pytest.raises(DataError, match="did you mean kidney"):
        shipped().find("kidn")


# ---- filters


def test_filters_take_what_says_so_and_leave_what_is_unknown(write_cards):
    folder = write_cards(
        {
            "a": raw(anatomy=["heart", "lung"], tasks=["segment"], access="open", licence="CC0"),
            "b": raw(anatomy=["heart"], tasks=["detect"], access="on request"),
            "c": raw(
                anatomy=["fetal heart"],
                tasks=["segment"],
                access="open",
                key="c",
                command="python -m usbench c",
            ),
            "d": raw(),
        }
    )
    all_cards = cards.load_cards(folder).datasets

    def ids(**conditions: Any) -> str:
        return "".join(card.id for card in filter(cards.Filter(**conditions).matches, all_cards))

    assert ids() == "abcd" and ids(anatomy="heart") == "ab" and ids(task="segment") == "ac"
    assert ids(access="open", licence="CC0") == "a" and ids(runnable=True) == "c"
    assert ids(anatomy="heart", task="landmark") == ""


# ---- scores

SHEET = {
    "name": "ours",
    "kind": "dataset",
    "title": "Our score",
    "description": "three lines",
    "source": "us",
    "tiers": [
        {"name": "high", "from": 12},
        {"name": "middle", "from": 6},
        {"name": "low", "from": 0},
    ],
    "criteria": [
        {
            "name": "access",
            "description": "open?",
            "fields": ["access"],
            "points": [
                {"equals": "open", "points": 5},
                {"one_of": ["registration"], "points": 2.5},
            ],
        },
        {
            "name": "size",
            "description": "large?",
            "fields": ["images", "videos"],
            "points": [
                {"at_least": 100, "points": 6},
                {"at_least": 10, "points": 3},
                {"otherwise": True, "points": 1},
            ],
        },
        {
            "name": "told",
            "description": "cited?",
            "fields": ["citation"],
            "points": [{"stated": True, "points": 4}],
        },
    ],
}


@pytest.mark.parametrize(
    ("fields", "parts", "low", "high", "tier"),
    [
        (
            {"access": "open", "images": 100, "citation": "us"},
            ["5", "6", "4"],
            15,
            15,
            ("high", "high"),
        ),
        (
            {"access": "registration", "images": 99, "videos": 0},
            ["2.5", "3", "0–4"],
            5.5,
            9.5,
            ("low", "middle"),
        ),
        (
            {"access": "none", "images": 9, "videos": 10, "citation": "x"},
            ["0", "3", "4"],
            7,
            7,
            ("middle", "middle"),
        ),
        (
            {"access": "none", "images": 10, "citation": "x"},
            ["0", "3–6", "4"],
            7,
            10,
            ("middle", "middle"),
        ),
        ({"images": {"unknown": "why"}}, ["0–5", "1–6", "0–4"], 1, 15, ("low", "high")),
        ({"videos": 500}, ["0–5", "6", "0–4"], 6, 15, ("middle", "high")),
    ],
)
def test_points_by_hand(fields, parts, low, high, tier, write_cards):
    folder = write_cards({"ours": raw(**fields)}, rubric=SHEET)
    scored = scoring.score(
        cards.load_cards(folder).datasets[0], rubrics.load_rubrics(folder)["ours"]
    )
    assert [tables.format_range(part.low, part.high) for part in scored.parts] == parts
    assert (scored.low, scored.high, scored.maximum, scored.tier) == (low, high, 15, tier)


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(0, 0, True), (7, 10, True), (4, 7, True), (4, 7.1, False), (0, 10, False)],
)
def test_a_score_is_shown_where_seventy_percent_of_the_points_are_known(low, high, shown):
    scored = scoring.Score("ours", low, high, 10, ("C", "A"), ())
    assert scored.is_shown == shown
    points = tables.format_range(low, high) if shown else "too little is known"
    assert tables.format_points(scored) == points
    assert tables.format_tier(scored) == ("C–A" if shown else "")


def test_a_part_says_why(write_cards):
    folder = write_cards(
        {"ours": raw(images=99, access={"unknown": "the page is gone"})}, rubric=SHEET
    )
    scored = scoring.score(
        cards.load_cards(folder).datasets[0], rubrics.load_rubrics(folder)["ours"]
    )
    assert [part.why for part in scored.parts] == [
        "access unknown (the page is gone): 0 to 5",
        "images 99: 3; videos unknown (not said on the card): 1 to 6",
        "citation unknown (not said on the card): 0 to 4",
    ]
    assert [part.points for part in scored.parts] == [None, None, None]


def test_lists_are_counted_or_searched(write_cards):
    lines = [
        {
            "name": "devices",
            "description": "?",
            "fields": ["devices"],
            "points": [{"at_least": 2, "points": 3}],
        },
        {
            "name": "masks",
            "description": "?",
            "fields": ["annotation"],
            "points": [{"one_of": ["masks"], "points": 2}],
        },
        {
            "name": "protocol",
            "description": "?",
            "fields": ["protocol"],
            "points": [{"equals": True, "points": 1}],
        },
    ]
    datasets = {
        "a": raw(devices=["x", "y"], annotation=["labels", "masks"], protocol=True),
        "b": raw(devices=["x"], annotation=["labels"], protocol=False),
    }
    folder = write_cards(datasets, rubric={**SHEET, "criteria": lines})
    rubric = rubrics.load_rubrics(folder)["ours"]
    assert [scoring.score(card, rubric).low for card in cards.load_cards(folder).datasets] == [6, 0]


@pytest.mark.parametrize(
    "card", [*shipped().datasets, *shipped().models], ids=lambda card: f"{card.kind}-{card.id}"
)
def test_the_parts_of_a_shipped_score_add_up_and_lie_in_their_bounds(card):
    rubric = sheets()[scoring.RUBRIC[card.kind]]
    scored = scoring.score(card, rubric)
    assert scored.low == sum(part.low for part in scored.parts) and scored.high == sum(
        p.high for p in scored.parts
    )
    assert (
        all(0 <= part.low <= part.high <= part.maximum for part in scored.parts)
        and scored.maximum == 100
    )
    names = [tier.name for tier in rubric.tiers]
    assert names.index(scored.tier[0]) >= names.index(scored.tier[1])


def test_the_score_of_usgra_by_hand():
    """15 open, 15 CC BY, 1 for 244 images, 5 train-test, 7 leaks, defects known.

    Subjects unknown; no groups, 1 centre, 1 device, 1 annotator; no agreement, protocol, spacing.
    """
    scored = scoring.score(dataset("usgra"), sheets()["usbench-dataset"])
    shown = {part.criterion: tables.format_range(part.low, part.high) for part in scored.parts}
    assert shown == {
        **{
            "access": "15",
            "licence": "15",
            "size": "1",
            "subjects": "1–8",
            "groups": "0",
            "centres": "0",
        },
        **{
            "devices": "1",
            "annotators": "2",
            "agreement": "0",
            "protocol": "0",
            "split": "5",
            "leaks": "0",
        },
        **{"defects": "1", "spacing": "0"},
    }
    assert (scored.low, scored.high, scored.tier) == (41, 48, ("D", "D"))


# ---- rubrics


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        ({"fields": ["imagez"]}, "criteria[0].fields[0]", "a dataset card has no field imagez"),
        (
            {"points": [{"equals": "opne", "points": 5}]},
            "criteria[0].points[0]",
            "access can't be opne",
        ),
        (
            {"points": [{"at_least": 5, "points": 5}]},
            "criteria[0].points[0].at_least",
            "access is no number",
        ),
        (
            {"points": [{"exactly": 5, "points": 5}]},
            "criteria[0].points[0]",
            "'exactly' was unexpected",
        ),
        (
            {"points": [{"points": 5}]},
            "criteria[0].points[0]",
            "not valid under any of the schemas",
        ),
        ({"points": []}, "criteria[0].points", "less than 1 item"),
        ({"name": "size"}, "criteria[1].name", "size is there twice"),
        (
            {"points": [{"otherwise": True, "points": 1}, {"equals": "open", "points": 5}]},
            "criteria[0].points[0].otherwise",
            "expected the last rule",
        ),
    ],
)
def test_a_bad_criterion_is_named_with_its_file_and_key(change, where, message, write_cards):
    criteria = [{**SHEET["criteria"][0], **change}, *SHEET["criteria"][1:]]
    with pytest.raises(DataError) as wrong:
        rubrics.load_rubrics(write_cards(rubric={**SHEET, "criteria": criteria}))
    assert f"rubrics/ours.yaml: key {where}: " in str(wrong.value) and message in str(wrong.value)


@pytest.mark.parametrize(
    ("tiers", "where", "message"),
    [
        ([("A", 5), ("B", 7), ("C", 0)], "tiers[1].from", "expected less than 5, got 7"),
        ([("A", 5), ("B", 2)], "tiers[1].from", "expected 0 in the last tier"),
        ([("A", None), ("B", 0)], "tiers[0].from", "got null"),
    ],
)
def test_tiers_fall_to_nothing(tiers, where, message, write_cards):
    listed = [{"name": name, "from": start} for name, start in tiers]
    with pytest.raises(DataError) as wrong:
        rubrics.load_rubrics(write_cards(rubric={**SHEET, "tiers": listed}))
    assert f"rubrics/ours.yaml: key {where}: " in str(wrong.value) and message in str(wrong.value)


def test_a_rubric_is_named_as_its_file_is(write_cards):
    folder = write_cards(rubric=SHEET)
    (folder / "rubrics" / "ours.yaml").rename(folder / "rubrics" / "theirs.yaml")
    with pytest.raises(
        DataError, match=r"theirs.yaml: key name: expected the file's name, theirs, got ours"
    ):
        rubrics.load_rubrics(folder)


def test_a_rubric_of_the_other_kind_is_refused():
    with pytest.raises(
        ConfigError, match="usgra is a dataset: expected its rubric, got usbench-model"
    ):
        scoring.score(dataset("usgra"), sheets()["usbench-model"])


# ---- against a copy

COPY = card_comparison.MeasuredRelease(
    True,
    20,
    {"4×6": 15, "8×8": 5},
    {"nerve": 12, "vessel": 3},
    2,
    1,
    {"pixels of no class colour": 7},
)
SIZES = [{"height": 4, "width": 6, "images": 15}, {"height": 8, "width": 8, "images": 5}]


@pytest.mark.parametrize(
    ("fields", "changes", "level", "text"),
    [
        ({"images": 20}, {}, "note", "images: 20, as on the card"),
        ({"images": 21}, {}, "warning", "images: 21 on the card ours, 20 in this copy"),
        ({"images": 21}, {"whole": False}, None, ""),
        ({"sizes": SIZES}, {}, "note", "sizes: 4×6 (15), 8×8 (5), as on"),
        (
            {"sizes": SIZES},
            {"sizes": {"4×6": 14, "8×8": 6}},
            "warning",
            "4×6 (14), 8×8 (6) in this copy",
        ),
        ({"sizes": SIZES}, {"sizes": {"4×6": 1}, "whole": False}, "note", "all are on the card"),
        ({"sizes": SIZES[:1]}, {}, "warning", "also 8×8 (5) in this copy"),
        ({"classes": ["nerve", "vessel"]}, {}, "note", "nerve, vessel, as on"),
        ({"classes": ["nerve"]}, {}, "warning", "also vessel in this copy"),
        (
            {"classes": ["nerve", "vessel"]},
            {"classes": {"nerve": 1, "vessel": 0}},
            "warning",
            "no image with vessel",
        ),
        ({"leaks": 2}, {}, "note", "leaks: 2 test images"),
        (
            {"leaks": 0},
            {},
            "warning",
            "leaks: 0 test images on the card ours, 2 test images in this copy",
        ),
        (
            {"defects": [{"description": "twins", "count": 1, "kind": "identical pairs"}]},
            {},
            "note",
            "identical pairs: 1",
        ),
        (
            {"defects": [{"description": "twins", "count": 3, "kind": "identical pairs"}]},
            {},
            "warning",
            "pairs: 3 on the",
        ),
        (
            {"defects": [{"description": "strays", "count": 7, "kind": "stray pixels"}]},
            {},
            "note",
            "stray pixels: 7",
        ),
        ({"defects": [{"description": "a cat", "count": 7}]}, {}, None, ""),
        ({"images": {"unknown": "why"}}, {}, None, ""),
    ],
)
def test_a_card_against_a_copy(fields, changes, level, text, write_cards):
    (card,) = cards.load_cards(write_cards({"ours": raw(**fields)})).datasets
    measured = card_comparison.MeasuredRelease(**{**vars(COPY), **changes})
    findings = list(card_comparison.compare_card(card, measured))
    assert [finding.level for finding in findings] == ([] if level is None else [level])
    assert all(text in finding.text and finding.kind == "card" for finding in findings)


# ---- the command


@pytest.fixture
def script(tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """`script(*words)`: (exit code, stdout, stderr), in an empty folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            code = catalogue.main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        output = capsys.readouterr()
        return code, output.out, output.err

    return command


def test_list_filters_and_writes_json(script):
    code, out, err = script(
        "list", "--anatomy", "heart", "--access", "open", "--json", "found.json"
    )
    listed = json.loads(Path("found.json").read_text())
    assert (code, err) == (0, "") and {"camus", "unity"} <= {card["id"] for card in listed}
    assert all("heart" in card["fields"]["anatomy"]["value"] for card in listed)
    assert (
        "camus" in out
        and "busi" not in out
        and f"{len(listed)} of {len(shipped().datasets)} datasets" in out
    )


def test_list_runnable_models(script):
    code, out, _ = script("list", "--models", "--runnable", "--task", "landmark")
    assert (
        code == 0
        and "heatmap" in out
        and "yolov8-pose" in out
        and "unetpp" not in out
        and "2 of 36 models" in out
    )


def test_show_has_every_field_its_source_and_the_parts(script):
    code, out, _ = script("show", "usgra")
    assert code == 0 and "run it: python -m usbench dataset=usgra model=unet" in out
    assert all(name in out for name in cards.fields_of("dataset"))
    assert "measured on the released files" in out and "41–48" in out and "tier D" in out


def test_score_one_and_all(script):
    code, out, _ = script("score", "kidney")
    assert code == 0 and "licence CC BY-NC-SA: 10" in out
    code, out, _ = script("score", "--rubric", "usbench-model", "--json", "found.json")
    assert code == 0 and "tinyusfm" in out and "usgra" not in out
    assert len(json.loads(Path("found.json").read_text())) == len(shipped().models)


@pytest.mark.parametrize("arguments", [["--rubric", "sonodqs"], ["usgra", "--rubric", "sonodqs"]])
def test_a_missing_sheet_says_where_it_is_and_where_it_goes(arguments, script):
    code, out, err = script("score", *arguments)
    assert (code, out) == (1, "") and len(err.strip().splitlines()) == 1
    assert "the sheet of SonoDQS is missing" in err and "doi 10.1038/s41746-025-02162-4" in err
    assert "rubrics/sonodqs.yaml" in err


def test_filling_in_the_sheet_is_all_that_is_needed(script, write_cards):
    """An invented sheet: its criteria and points aren't the paper's."""
    raw_sheet = yaml.safe_load((SHIPPED / "rubrics/sonodqs.yaml").read_text())
    filled = {
        **raw_sheet,
        "tiers": [
            {"name": name, "from": start}
            for name, start in zip(TIERS, (9, 8, 6, 4, 2, 0), strict=True)
        ],
        "criteria": SHEET["criteria"][:1],
    }
    folder = write_cards({"ours": raw(access="open"), "closed": raw(access="none")}, rubric=filled)
    code, out, err = script(
        "score", "--rubric", "sonodqs", "--cards", folder, "--json", "found.json"
    )
    tiers = {
        card["id"]: card["score"]["tier"] for card in json.loads(Path("found.json").read_text())
    }
    assert (code, err) == (0, "") and tiers == {
        "ours": ["Silver", "Silver"],
        "closed": ["Steel", "Steel"],
    }
    assert "Silver" in out and "SonoDQS" in out


def test_validate(script):
    code, out, _ = script("validate")
    assert (
        code == 0
        and f"{len(shipped().datasets)} datasets and 36 models" in out
        and "sonodqs: its sheet is missing" in out
    )


def test_write_and_check(script, write_cards):
    folder = write_cards(
        {"ours": raw(images=3, citation="us | them")}, {"net": model(training=["ours"])}
    )
    assert script("--cards", folder, "--results", "r", "--check")[0] == 1 and not Path("r").exists()
    assert script("--cards", folder, "--results", "r")[0] == 0
    assert sorted(path.name for path in Path("r").iterdir()) == ["CATALOGUE.csv", "CATALOGUE.md"]
    first = [path.read_bytes() for path in sorted(Path("r").iterdir())]
    assert script("write", "--cards", folder, "--results", "r", "--check")[0] == 0
    script("write", "--cards", folder, "--results", "r")
    assert [path.read_bytes() for path in sorted(Path("r").iterdir())] == first
    Path("r/CATALOGUE.md").write_text("by hand")
    code, _, err = script("--cards", folder, "--results", "r", "--check")
    assert code == 1 and "CATALOGUE.md: isn't what the cards give" in err
    assert Path("r/CATALOGUE.md").read_text() == "by hand"


def test_every_command_writes_nothing_where_a_card_is_bad(script, write_cards):
    folder = write_cards({"ours": raw(imagez=3)})
    for arguments in (
        ["write", "--results", "r"],
        ["list"],
        ["show", "ours"],
        ["score"],
        ["validate"],
    ):
        code, out, err = script(*arguments, "--cards", folder, "--json", "found.json")
        assert (code, out) == (1, "") and "datasets.yaml: key ours: " in err and "imagez" in err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--anatomy", "elbow"],
        ["list", "--rubric", "usbench-dataset"],
        ["show"],
        ["score", "usgra", "--rubric", "none"],
        ["score", "usgra", "--rubric", "usbench-model"],
        ["list", "--models", "--access", "open"],
        ["validate", "usgra"],
        ["--cards", "somewhere"],
        ["sing"],
    ],
)
def test_a_wrong_command_line_is_exit_2(arguments, script):
    code, out, err = script(*arguments)
    assert (code, out) == (2, "") and err


def test_help_names_what_a_filter_takes(script):
    code, out, _ = script("--help")
    assert code == 0 and "fetal heart" in out and "--runnable" in out and "sonodqs" in out


# ---- files


def test_the_csv_holds_every_field_of_every_card():
    rows = list(csv.DictReader(tables.format_csv(shipped(), sheets()).splitlines()))
    keys = {(row["kind"], row["id"], row["field"]) for row in rows}
    assert len(keys) == len(rows)
    for card in (*shipped().datasets, *shipped().models):
        assert {(card.kind, card.id, name) for name in card.fields} <= keys
    (leaks,) = [row for row in rows if (row["id"], row["field"]) == ("usgra", "leaks")]
    assert (leaks["value"], leaks["verified"], leaks["source"]) == (
        "7",
        "third-party",
        "measured on the released files",
    )
    (total,) = [row for row in rows if (row["id"], row["field"]) == ("usgra", "score")]
    assert (total["low"], total["high"], total["of"], total["value"]) == ("41", "48", "100", "D")


def test_every_row_of_a_markdown_table_has_its_columns():
    widths: list[int] = []
    for line in tables.format_markdown(shipped(), sheets()).splitlines():
        cells = line.replace("\\|", "").count("|")
        widths = [*widths, cells] if line.startswith("|") else []
        assert len(set(widths)) <= 1, line


def test_the_view_is_json_and_has_every_field_of_every_card():
    view = usbench.catalogue.view()
    assert json.loads(json.dumps(view, allow_nan=False)) == view
    assert [len(view[kind]) for kind in ("datasets", "models")] == [
        len(shipped().datasets),
        36,
    ] and len(view["rubrics"]) == 4
    for card in view["datasets"]:
        assert list(card["fields"]) == list(cards.fields_of("dataset"))
        assert card["runnable"] == (card["key"] is not None) == (card["command"] is not None)
        assert card["score"]["low"] == sum(part["low"] for part in card["score"]["parts"])
    (usgra,) = [card for card in view["datasets"] if card["id"] == "usgra"]
    assert usgra["fields"]["images"] == {
        **{"value": 244, "unknown": None, "source": "measured on the released files"},
        **{"verified": "third-party", "note": None},
    }
    assert usgra["score"]["tier"] == ["D", "D"] and usgra["score"]["parts"][3]["points"] is None
    assert (
        view["rubrics"]["sonodqs"]["missing"] and not view["rubrics"]["usbench-dataset"]["missing"]
    )


@pytest.mark.process
def test_the_view_loads_neither_torch_nor_hydra():
    code = (
        "import sys, usbench.catalogue; usbench.catalogue.view(); "
        "print(sorted({'torch', 'hydra', 'omegaconf', 'mlflow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"


# ---- usbench check


def checked(*arguments: str) -> list[str]:
    """The findings of usbench check on the card, as "level: text"."""
    assert check.main([*arguments, "--json", "found.json", "--sheet", "sheet.png"]) in (0, 1)
    rows = json.loads(Path("found.json").read_text())["findings"]
    return [f"{row['level']}: {row['text']}" for row in rows if row["kind"] == "card"]


def test_a_copy_that_differs_from_the_card_is_a_warning(tmp_path, monkeypatch):
    """Three images in usgra's folders; the card has 244, other sizes, and 7 that leak."""
    import numpy as np
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    drawn = np.random.default_rng(0).integers(0, 255, (3, 64, 96), np.uint8)
    mask = np.zeros((64, 96), np.uint8)
    mask[8:24, 8:24], mask[40:56, 8:24] = 1, 2
    for part, names in (("", ("0000", "0001")), ("test/", ("0002",))):
        for name in names:
            for folder, pixels in (("images", drawn[int(name)]), ("masks", mask)):
                path = tmp_path / "usgra/dataset" / f"{part}{folder}" / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    findings = checked(
        "dataset=usgra",
        f"data='{tmp_path}'",
        "dataset.split.near_duplicates=[]",
        "dataset.split.val_share=0.5",
    )
    assert any(
        line.startswith("warning: images: 244 on the card usgra, 3 in this copy")
        for line in findings
    )
    assert any(
        line.startswith("warning: sizes: 512×534, 512×512, 632×761 on the card")
        for line in findings
    )
    assert any("also 64×96 (3) in this copy" in line for line in findings)
    assert "note: classes: nerve, vessel, as on the card usgra" in findings
    assert any(
        line.startswith("warning: leaks: 7 test images on the card usgra, 0 test images")
        for line in findings
    )
    assert any(
        line.startswith("warning: identical pairs: 1 on the card usgra, 0 in") for line in findings
    )


@pytest.mark.real
@pytest.mark.skipif(
    not (Path(REAL) / "usgra").is_dir() or not REAL, reason="USBENCH_TEST_DATA has no usgra"
)
def test_the_real_usgra_is_as_its_card_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    findings = checked("dataset=usgra", f"data='{REAL}'")
    assert [line.split(":")[:2] for line in findings] == [
        ["note", f" {name}"] for name in ("images", "sizes", "classes", "leaks", "identical pairs")
    ]
