"""The table of conf/dataset/README.md is that of the YAML files and the cards."""

from scripts import write_dataset_table
from tests.helpers.written import YAMLS


def test_the_table_is_current():
    text = write_dataset_table.PAGE.read_text("utf-8")
    assert write_dataset_table.fill_page(text) == text, "run scripts/write_dataset_table.py"


def test_every_release_has_a_row():
    released = {name for name, node in YAMLS.items() if node["released"] and name != "folder"}
    assert {dataset.name for dataset in write_dataset_table.read_datasets()} >= released


def test_the_sides_of_a_split_are_named():
    named = {dataset.name: dataset for dataset in write_dataset_table.read_datasets()}
    assert write_dataset_table.describe_split(named["busbra"]) == "released: 5 folds"
    assert write_dataset_table.describe_split(named["kidney"]) == "ours: whole groups"
    assert write_dataset_table.describe_split(named["nnus"]) == "ours: contiguous runs"
    assert write_dataset_table.describe_split(named["spinal"]) == "released"
    assert write_dataset_table.describe_split(named["usgra"]) == "released, validation ours"
