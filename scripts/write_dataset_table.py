"""Write the table of conf/dataset/README.md from the YAML files and the catalogue's cards.

    python scripts/write_dataset_table.py [--check]

With --check nothing is written; the exit code is 1 where the table isn't current.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from omegaconf import OmegaConf

from usbench.catalogue.cards import Card, load_cards
from usbench.catalogue.tables import format_grid, format_value
from usbench.datasets.config import DatasetConfig
from usbench.io.files import write_atomically

FOLDER = Path(__file__).parents[1] / "conf" / "dataset"
PAGE = FOLDER / "README.md"
BLOCK = re.compile(r"<!-- datasets -->\n.*?<!-- /datasets -->", flags=re.S)
HEADER = ("dataset", "tasks", "images", "groups", "split", "licence", "format", "files read")


def read_datasets() -> list[DatasetConfig]:
    """The datasets that have a release, by name; a user's own images aren't one."""
    datasets = map(read_dataset, sorted(FOLDER.glob("*.yaml")))
    return [dataset for dataset in datasets if dataset.released and dataset.certainty]


def read_dataset(path: Path) -> DatasetConfig:
    """A dataset's YAML, with what it says of itself by `${dataset.…}`."""
    content = OmegaConf.create({"dataset": OmegaConf.load(path)})
    node = OmegaConf.to_container(content.dataset, resolve=True)
    assert isinstance(node, dict)
    return DatasetConfig.from_mapping({str(key): value for key, value in node.items()})


def describe_split(dataset: DatasetConfig) -> str:
    """Whose split it is, in a few words."""
    split = dataset.split
    if split.released_folds:
        return f"released: {split.folds} folds"
    if split.test_only:
        return "all test"
    if split.gap is not None:
        return "ours: contiguous runs"
    if split.shares:
        return "ours: whole groups"
    return "released, validation ours" if split.val_share else "released"


def format_row(dataset: DatasetConfig, card: Card) -> list[str]:
    """The row of a dataset."""
    return [
        f"[`{dataset.name}`]({dataset.name}.yaml) {dataset.title}",
        ", ".join(dataset.views),
        format_value(card.value("images")) or "unknown",
        dataset.groups or "unknown",
        describe_split(dataset),
        format_value(card.value("licence")) or "unknown",
        str(dataset.certainty),
        "yes" if dataset.files_read else "no",
    ]


def fill_page(text: str) -> str:
    """The page with its table."""
    cards = {card.key: card for card in load_cards().datasets}
    rows = [format_row(dataset, cards[dataset.name]) for dataset in read_datasets()]
    table = f"<!-- datasets -->\n{format_grid(HEADER, rows)}<!-- /datasets -->"
    return BLOCK.sub(lambda _: table, text)


def main() -> int:
    """Write or check the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    text = PAGE.read_text("utf-8")
    filled = fill_page(text)
    if not options.check:
        write_atomically(PAGE, filled)
        return 0
    return int(filled != text)


if __name__ == "__main__":
    raise SystemExit(main())
