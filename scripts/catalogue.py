"""The catalogue of public ultrasound datasets and models: cards, their sources, and scores.

    python scripts/catalogue.py                         regenerate results/CATALOGUE.md and .csv
    python scripts/catalogue.py --check                 write nothing; exit 1 where they differ
    python scripts/catalogue.py list --anatomy heart --access open
    python scripts/catalogue.py list --models --task segment --runnable
    python scripts/catalogue.py show usgra              a whole card, and its score's parts
    python scripts/catalogue.py score                   all scores; score NAME: one, by criterion
    python scripts/catalogue.py score --rubric sonodqs  by another rubric
    python scripts/catalogue.py validate                check all cards and rubrics

The cards are datasets.yaml and models.yaml of usbench/catalogue, the rubrics its rubrics/*.yaml;
--cards DIR takes a folder of your own with the same layout (without rubrics: ours). An unknown
field makes a score a range. Exit code 0; 1 for a bad card, a missing sheet, files that differ; 2
for a wrong command line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.catalogue import cards, flat, tables
from usbench.catalogue.cards import Card, Cards, Filter, Kind, allowed_values, fields_of
from usbench.catalogue.rubrics import Rubric, load_rubrics
from usbench.catalogue.scoring import RUBRIC, Score, require_criteria, score
from usbench.errors import ConfigError, UsbenchError
from usbench.io.console import say, table, warn
from usbench.io.files import write_all

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("write", "list", "show", "score", "validate")
OPTIONS_OF = {  # option → the commands that take it
    **dict.fromkeys(("anatomy", "task", "access", "licence", "runnable", "models"), ("list",)),
    **dict.fromkeys(("check", "results"), ("write",)),
    "rubric": ("score", "show"),
    "name": ("score", "show"),
}
LISTED_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    "dataset": ("anatomy", "tasks", "access", "licence"),
    "model": ("tasks", "parameters", "licence"),
}


@dataclass(frozen=True)
class Catalogue:
    """All of a folder."""

    cards: Cards
    rubrics: Mapping[str, Rubric]

    def rubric(self, name: str | None, kind: Kind) -> Rubric:
        """The rubric of this name, or ours for the kind of card; ConfigError for an unknown one."""
        wanted = name or RUBRIC[kind]
        if wanted not in self.rubrics:
            raise ConfigError(f"--rubric {wanted}: expected one of {', '.join(self.rubrics)}")
        return self.rubrics[wanted]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; an option that the command doesn't take is an error."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("command", nargs="?", choices=COMMANDS, default="write", help="default: %(default)s")
    add("name", nargs="?", metavar="NAME", help="show, score: id, key or name of a card")
    for option, field, kinds in (
        ("anatomy", "anatomy", ("dataset",)),
        ("task", "tasks", cards.KINDS),
        ("access", "access", ("dataset",)),
        ("licence", "licence", ("dataset",)),
    ):
        values = allowed_values(field, kinds)
        add(f"--{option}", choices=values, metavar="WORD", help=f"list: {', '.join(values)}")
    add("--runnable", action="store_true", help="list: only what usbench runs")
    add("--models", action="store_true", help="list: models instead of datasets")
    add("--rubric", metavar="NAME", help="show, score: default usbench-dataset and usbench-model")
    add("--check", action="store_true", help="write: only compare; exit 1 where files differ")
    add("--results", type=Path, metavar="DIR", help="write: default results/ of the checkout")
    add("--cards", type=Path, default=cards.SHIPPED, metavar="DIR", help="a folder of cards")
    everything = "write what is shown as JSON too; write, validate: everything"
    add("--json", type=Path, metavar="FILE", help=everything)
    options = parser.parse_args(argv)
    command = options.command
    for name, commands in OPTIONS_OF.items():
        if vars(options)[name] and command not in commands:
            parser.error(f"{command} doesn't take {name}: that is for {' and '.join(commands)}")
    if command == "show" and not options.name:
        parser.error("show: expected the id, key or name of a card")
    if command == "write" and options.cards != cards.SHIPPED and not options.results:
        parser.error("write: --cards needs --results DIR too, so that our files stay as they are")
    if options.models and (options.anatomy or options.access):
        parser.error("--models: a model has neither --anatomy nor --access")
    return options


# ---- write, validate


def write(options: argparse.Namespace, catalogue: Catalogue) -> int:
    """Regenerate the files, or with --check report which differ."""
    folder = options.results or ROOT / "results"
    files = {
        folder / "CATALOGUE.md": tables.format_markdown(
            catalogue.cards, catalogue.rubrics
        ).encode(),
        folder / "CATALOGUE.csv": tables.format_csv(catalogue.cards, catalogue.rubrics).encode(),
    }
    names = " and ".join(map(str, files))
    if not options.check:
        write_all(files)
        say(f"{names}: {count_cards(catalogue)}")
        return 0
    code = 0
    for path, content in files.items():
        if not path.exists() or path.read_bytes() != content:
            warn(f"{path}: isn't what the cards give; run python scripts/catalogue.py")
            code = 1
    if code == 0:
        say(f"{names}: up to date")
    return code


def count_cards(catalogue: Catalogue) -> str:
    """How many cards there are."""
    return f"{len(catalogue.cards.datasets)} datasets and {len(catalogue.cards.models)} models"


def report_valid(catalogue: Catalogue) -> int:
    """Report what was read, and which rubrics have no criteria."""
    say(f"{count_cards(catalogue)}: every card is valid")
    for name, rubric in catalogue.rubrics.items():
        state = "its sheet is missing"
        if rubric.criteria:
            state = f"{len(rubric.criteria)} criteria, {rubric.maximum:g} points"
        say(f"rubric {name}: {state}")
    return 0


# ---- list


def list_cards(options: argparse.Namespace, catalogue: Catalogue) -> list[Card]:
    """Show the cards that the filters leave."""
    kind: Kind = "model" if options.models else "dataset"
    wanted = Filter(
        options.anatomy, options.task, options.access, options.licence, options.runnable
    )
    all_cards = catalogue.cards.of_kind(kind)
    chosen = list(filter(wanted.matches, all_cards))
    rubric = catalogue.rubric(None, kind)
    fields = LISTED_FIELDS[kind]
    rows = []
    for card in chosen:
        card_score = score(card, rubric)
        row = [card.id, tables.format_amount(card)] if kind == "dataset" else [card.id]
        row += [tables.format_value(card.value(name)).replace("; ", ", ") or "?" for name in fields]
        points = tables.format_range(card_score.low, card_score.high)
        rows.append((*row, points, tables.format_tier(card_score)))
    size = ("size",) if kind == "dataset" else ()
    header = ("id", *size, *fields, f"of {rubric.maximum:g}", "tier")
    table(f"{len(chosen)} of {len(all_cards)} {kind}s", header, rows)
    if options.anatomy or options.task or options.access or options.licence:
        say("a card that doesn't say what was asked for isn't listed")
    return chosen


# ---- show, score


def show_card(card: Card, card_score: Score) -> None:
    """Show a whole card, a line per field: addresses can be copied at any width."""
    say(f"{card.name} ({card.kind} {card.id})")
    say(f"run it: {card.command}" if card.command else "usbench doesn't run it")
    say(f"source, where no other is named: {card.source} [verified: {card.verified}]")
    for name in fields_of(card.kind):
        field = card.fields.get(name)
        origin = ""
        if (
            field is not None
            and field.value is not None
            and (field.source, field.verified) != (card.source, card.verified)
        ):
            origin = f"   [{field.source}; verified: {field.verified}]"
        say(f"  {name:<14} {tables.format_field(name, field)}{origin}")
    show_parts(card, card_score)


def show_parts(card: Card, card_score: Score) -> None:
    """Show a score, criterion by criterion."""
    rows = []
    for part in card_score.parts:
        points = tables.format_range(part.low, part.high)
        rows.append((part.criterion, points, f"{part.maximum:g}", part.why))
    total = tables.format_range(card_score.low, card_score.high)
    tier = f"tier {tables.format_tier(card_score)}"
    rows.append(("total", total, f"{card_score.maximum:g}", tier))
    table(f"{card.id} by {card_score.rubric}", ("criterion", "points", "of", "why"), rows)


def show_scores(scores: Mapping[str, Score], rubric: Rubric) -> None:
    """Show many scores, the highest certain one first."""
    rows = []
    for id in sorted(scores, key=lambda id: (-scores[id].low, -scores[id].high, id)):
        points = tables.format_range(scores[id].low, scores[id].high)
        unknown = sum(part.points is None for part in scores[id].parts)
        rows.append((id, points, tables.format_tier(scores[id]), str(unknown)))
    title = f"{rubric.title}: {len(scores)} {rubric.kind}s, those with most sure points first"
    table(title, (rubric.kind, f"of {rubric.maximum:g}", "tier", "criteria unknown"), rows)


def show_asked(options: argparse.Namespace, catalogue: Catalogue) -> list[tuple[Card, Score]]:
    """Show the scores asked for, and the card where `show` was the command."""
    if options.name:
        card = catalogue.cards.find(options.name)
        card_score = score(card, catalogue.rubric(options.rubric, card.kind))
        show = show_card if options.command == "show" else show_parts
        show(card, card_score)
        return [(card, card_score)]
    shown: list[tuple[Card, Score]] = []
    names = [catalogue.rubric(options.rubric, kind).name for kind in cards.KINDS]
    for name in dict.fromkeys(names):
        rubric = catalogue.rubrics[name]
        require_criteria(rubric)
        pairs = [(card, score(card, rubric)) for card in catalogue.cards.of_kind(rubric.kind)]
        show_scores({card.id: card_score for card, card_score in pairs}, rubric)
        shown += pairs
    return shown


# ---- the command


def run(options: argparse.Namespace) -> int:
    """Read everything, then do what was asked; the exit code."""
    catalogue = Catalogue(cards.load_cards(options.cards), load_rubrics(options.cards))
    code = 0
    content: Any = None
    if options.command == "list":
        content = []
        for card in list_cards(options, catalogue):
            content.append(flat.flatten_card(card, score(card, catalogue.rubric(None, card.kind))))
    elif options.command in ("show", "score"):
        shown = show_asked(options, catalogue)
        content = [flat.flatten_card(card, card_score) for card, card_score in shown]
    elif options.command == "validate":
        code = report_valid(catalogue)
    else:
        code = write(options, catalogue)
    if options.json:
        content = flat.view(options.cards) if content is None else content
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        write_all({options.json: text.encode()})
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parse_arguments(argv)
    try:
        return run(options)
    except UsbenchError as error:
        warn(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
