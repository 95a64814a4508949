"""Write the BibTeX entries of the datasets and models that results use, and of usbench.

    usbench bibtex                                    of all results below ./results
    usbench bibtex RESULT [RESULT …] [--out FILE]     of these
    usbench bibtex --dataset usgra hc18 --model unet  of these, without any result

A RESULT is a result's file, name or run id, a folder of results or a glob of them. A dataset's or a
model's YAML may state entries as `bibtex`; usbench has those of its models. Without one, the citation
line becomes the note of a @misc entry, which stderr says: complete such an entry yourself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from usbench.catalogue.cards import Card, load_cards
from usbench.catalogue.citations import USBENCH, dataset_entries, model_entries, stated_bibtex
from usbench.cli.listing import read_group
from usbench.cli.options import (
    Options,
    add_config_dir,
    config_folders,
    encode_json,
    make_parser,
    run_verb,
)
from usbench.errors import ConfigError, DataError, did_you_mean
from usbench.io.bibtex import Entry, write_entries
from usbench.io.console import say, warn
from usbench.io.files import JsonObject, write_all
from usbench.io.numbers import format_count
from usbench.results.result import Result
from usbench.results.selection import select_results
from usbench.results.store import load_finished

NO_MODEL = ("baseline", "human")  # origins of results that use none


def write_bibtex(options: Options) -> None:
    """Find what is used, and show or write its entries."""
    folders = config_folders(options)
    datasets, models = (read_named(folders, group) for group in ("dataset", "model"))
    cards = {card.key: card for card in load_cards().models if card.key}
    check_known("--dataset", options.dataset, datasets)
    check_known("--model", options.model, models)
    results = []
    if options.result or not (options.dataset or options.model):
        results = load_used(options.result, options.results)
    entries = [USBENCH]
    for name in sorted({*options.dataset, *used_datasets(results)}):
        entries += entries_of_dataset(name, datasets)
    for name in sorted({*options.model, *used_models(results)}):
        entries += entries_of_model(name, models.get(name, {}), cards.get(name))
    entries = unique_entries(entries)
    text = write_entries(entries)
    files = {options.out: text.encode()} if options.out else {}
    if options.json:
        files[options.json] = encode_json({"entries": list(map(asdict, entries))})
    write_all(files)
    if options.out:
        say(f"{options.out}: {len(entries)} entries")
    else:
        say(text.removesuffix("\n"))


def read_named(folders: Sequence[Path], group: str) -> dict[str, JsonObject]:
    """The YAMLs of datasets or models by name."""
    return {str(node.get("name", node["file"])): node for node in read_group(folders, group)}


def check_known(option: str, names: Sequence[str], known: Iterable[str]) -> None:
    """Raise ConfigError for a name that isn't known."""
    choices = sorted(known)
    for name in names:
        if name not in choices:
            hint = did_you_mean(name, choices)
            raise ConfigError(f"{option} {name}: expected one of {', '.join(choices)}{hint}")


def load_used(words: Sequence[str], folder: Path) -> list[Result]:
    """The finished results that are named, else all below a folder; others are left out.

    Raises:
        DataError: none is left.
    """
    paths = select_results(words, folder) if words else sorted(folder.glob("*/*/*.json"))
    results = []
    for path in paths:
        try:
            results.append(load_finished(path))
        except DataError as error:
            warn(f"left out: {error}")
    if not results:
        raise DataError(
            f"{folder}: expected finished results, got none; name datasets and models instead: "
            "usbench bibtex --dataset NAME --model NAME"
        )
    return results


def used_datasets(results: Iterable[Result]) -> set[str]:
    """The datasets that results were trained or scored on; phantoms are no dataset's images."""
    names: set[str] = set()
    phantoms: Counter[str] = Counter()
    for result in results:
        if result.data.phantom:
            phantoms[result.dataset] += 1
        else:
            names |= {result.dataset, result.trained_on or result.dataset}
    for name, number in sorted(phantoms.items()):
        warn(
            f"dataset {name}: {format_count(number, 'result')} on its phantom, which has none of its images"
        )
    return names


def used_models(results: Iterable[Result]) -> set[str]:
    """The models of results."""
    return {result.model for result in results if result.origin not in NO_MODEL}


def entries_of_dataset(name: str, datasets: Mapping[str, JsonObject]) -> list[Entry]:
    """The entries of a dataset; a warning where they aren't whole."""
    entries = dataset_entries(name, datasets.get(name, {}))
    if not entries:
        warn(f"dataset {name}: no citation known; add one, or `bibtex` to its YAML")
    elif not datasets[name].get("bibtex"):
        warn(f"dataset {name}: no BibTeX known; its citation line is the note of a @misc entry")
    return entries


def entries_of_model(name: str, node: JsonObject, card: Card | None) -> list[Entry]:
    """The entries of a model; a warning where there are none, or that they aren't whole."""
    if not stated_bibtex(node, card):
        if card is None:
            warn(f"model {name}: no citation known; add one, or `bibtex` to its YAML")
        else:
            part = "citation line is the note" if card.value("citation") else "code is the address"
            warn(f"model {name}: no BibTeX known; its {part} of a @misc entry")
    return model_entries(name, node, card)


def unique_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Each entry once. Raises ConfigError where two different ones have a key."""
    by_key: dict[str, Entry] = {}
    for entry in entries:
        if by_key.setdefault(entry.key, entry) != entry:
            raise ConfigError(
                f"bibtex: expected one entry of the key {entry.key}, got two that differ; "
                "change the key in your YAML"
            )
    return list(by_key.values())


def main(argv: list[str] | None = None) -> int:
    """The command; exit code 1 without finished results, 2 for unknown names."""
    parser = make_parser(__doc__, "write the entries as JSON too", "bibtex", ("results",))
    add = parser.add_argument
    help_text = "a result's file, name or run id, a folder of results, or a glob; default: all"
    add("result", nargs="*", metavar="RESULT", help=help_text)
    for kind in ("dataset", "model"):
        help_text = f"{kind}s whose entries to write"
        add(f"--{kind}", nargs="+", action="extend", default=[], metavar="NAME", help=help_text)
    add("--out", type=Path, metavar="FILE", help="write the entries there; default: print them")
    add_config_dir(parser)
    return run_verb(write_bibtex, parser.parse_args(argv))
