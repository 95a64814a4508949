"""The catalogue of public ultrasound datasets and models: cards, their sources, and scores.

    usbench catalogue                         regenerate results/CATALOGUE.md and .csv
    usbench catalogue --check                 write nothing; exit 1 where they differ
    usbench catalogue list --anatomy heart --access open
    usbench catalogue list --models --task segment --runnable
    usbench catalogue show usgra              a whole card, and its score's parts
    usbench catalogue score                   all scores; score NAME: one, by criterion
    usbench catalogue score --rubric sonodqs  by another rubric
    usbench catalogue validate                check all cards and rubrics

The cards are datasets.yaml and models.yaml of usbench/catalogue, the rubrics its rubrics/*.yaml;
--cards DIR takes a folder of your own with the same layout (without rubrics: ours). An unknown
field makes a score a range. Exit code 0; 1 for a bad card, a missing sheet, files that differ; 2
for a wrong command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

from usbench.catalogue import cards, flat, tables
from usbench.catalogue.cards import Card, Cards, Filter, Kind, allowed_values, fields_of
from usbench.catalogue.rubrics import Rubric, load_rubrics
from usbench.catalogue.scoring import RUBRIC, Score, require_criteria, score
from usbench.cli.options import Options, differing_files, make_parser, run_verb, write_json
from usbench.errors import ConfigError
from usbench.io.console import say, table, warn
from usbench.io.files import write_all

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

    def __str__(self) -> str:
        return f"{len(self.cards.datasets)} datasets and {len(self.cards.models)} models"

    def rubric(self, name: str | None, kind: Kind) -> Rubric:
        """The rubric of this name, or ours for the kind of card; ConfigError for an unknown one."""
        name = name or RUBRIC[kind]
        if name not in self.rubrics:
            raise ConfigError(f"--rubric {name}: expected one of {', '.join(self.rubrics)}")
        return self.rubrics[name]


def parse_arguments(argv: list[str] | None) -> Options:
    """Parse the command line; an option that the command doesn't take is an error."""
    parser = make_parser(__doc__, "write what is shown, or everything, as JSON too", "catalogue")
    add = parser.add_argument
    add("command", nargs="?", choices=COMMANDS, default="write", help="default: %(default)s")
    add("name", nargs="?", metavar="NAME", help="show, score: id, key or name of a card")
    for option in ("anatomy", "task", "access", "licence"):
        both = option == "task"  # models have tasks, too
        values = allowed_values("tasks", cards.KINDS) if both else allowed_values(option)
        add(f"--{option}", choices=values, metavar="WORD", help=f"list: {', '.join(values)}")
    add("--runnable", action="store_true", help="list: only what usbench runs")
    add("--models", action="store_true", help="list: models instead of datasets")
    add("--rubric", metavar="NAME", help="show, score: default usbench-dataset and usbench-model")
    add("--check", action="store_true", help="write: only compare; exit 1 where files differ")
    add("--results", type=Path, metavar="DIR", help="write: default results")
    add("--cards", type=Path, default=cards.SHIPPED, metavar="DIR", help="a folder of cards")
    options = parser.parse_args(argv)
    command = options.command
    for name, commands in OPTIONS_OF.items():
        if vars(options)[name] and command not in commands:
            parser.error(f"{command} doesn't take {name}: that is for {' and '.join(commands)}")
    other_cards = options.cards != cards.SHIPPED
    for wrong, message in (
        (command == "show" and not options.name, "show: expected the id, key or name of a card"),
        (
            command == "write" and other_cards and not options.results,
            "write: --cards needs --results DIR too, so that our files stay as they are",
        ),
        (
            options.models and (options.anatomy or options.access),
            "--models: a model has neither --anatomy nor --access",
        ),
    ):
        if wrong:
            parser.error(message)
    return options


def write(options: Options, catalogue: Catalogue) -> int:
    """Regenerate the files, or with --check report which differ; the exit code."""
    folder = options.results or Path("results")
    content = (catalogue.cards, catalogue.rubrics)
    files = {
        folder / "CATALOGUE.md": tables.format_markdown(*content).encode(),
        folder / "CATALOGUE.csv": tables.format_csv(*content).encode(),
    }
    names = " and ".join(map(str, files))
    if not options.check:
        write_all(files)
        say(f"{names}: {catalogue}")
        return 0
    differing = differing_files(files)
    for path in differing:
        warn(f"{path}: isn't what the cards give; run usbench catalogue")
    if not differing:
        say(f"{names}: up to date")
    return 1 if differing else 0


def report_valid(options: Options, catalogue: Catalogue) -> int:
    """Report what was read, and which rubrics have no criteria."""
    say(f"{catalogue}: every card is valid")
    for name, rubric in catalogue.rubrics.items():
        state = "its sheet is missing"
        if rubric.criteria:
            state = f"{len(rubric.criteria)} criteria, {rubric.maximum:g} points"
        say(f"rubric {name}: {state}")
    return 0


def list_cards(options: Options, catalogue: Catalogue) -> list[tuple[Card, Score]]:
    """Show the cards that the filters leave."""
    kind: Kind = "model" if options.models else "dataset"
    asked = (options.anatomy, options.task, options.access, options.licence)
    all_cards = catalogue.cards.of_kind(kind)
    rubric, fields = catalogue.rubric(None, kind), LISTED_FIELDS[kind]
    rows, chosen = [], []
    for card in filter(Filter(*asked, options.runnable).matches, all_cards):
        card_score = score(card, rubric)
        chosen.append((card, card_score))
        row = [card.id, tables.format_amount(card)] if kind == "dataset" else [card.id]
        for name in fields:
            row.append(tables.format_value(card.value(name)).replace("; ", ", ") or "?")
        rows.append((*row, tables.format_points(card_score), tables.format_tier(card_score)))
    size = ("size",) if kind == "dataset" else ()
    header = ("id", *size, *fields, f"of {rubric.maximum:g}", "tier")
    table(f"{len(chosen)} of {len(all_cards)} {kind}s", header, rows)
    if any(asked):
        say("a card that doesn't say what was asked for isn't listed")
    return chosen


def show_card(card: Card) -> None:
    """Show a whole card, a line per field: addresses can be copied at any width."""
    say(f"{card.name} ({card.kind} {card.id})")
    say(f"run it: {card.command}" if card.command else "usbench doesn't run it")
    say(f"source, where no other is named: {card.source} [verified: {card.verified}]")
    for name in fields_of(card.kind):
        field, origin = card.fields.get(name), ""
        if (
            field
            and field.value is not None
            and (field.source, field.verified) != (card.source, card.verified)
        ):
            origin = f"   [{field.source}; verified: {field.verified}]"
        say(f"  {name:<14} {tables.format_field(name, field)}{origin}")


def show_parts(card: Card, card_score: Score) -> None:
    """Show a score, criterion by criterion."""
    rows = []
    for part in card_score.parts:
        points = tables.format_range(part.low, part.high)
        rows.append((part.criterion, points, f"{part.maximum:g}", part.why))
    tier = f"tier {tables.format_tier(card_score)}" if card_score.is_shown else ""
    rows.append(("total", tables.format_points(card_score), f"{card_score.maximum:g}", tier))
    table(f"{card.id} by {card_score.rubric}", ("criterion", "points", "of", "why"), rows)


def show_scores(pairs: Sequence[tuple[Card, Score]], rubric: Rubric) -> None:
    """Show many scores, the highest certain one first."""
    rows = []
    for card, result in sorted(
        pairs,
        key=lambda pair: (not pair[1].is_shown, -pair[1].low, -pair[1].high, pair[0].id),
    ):
        points = tables.format_points(result)
        unknown = sum(part.points is None for part in result.parts)
        rows.append((card.id, points, tables.format_tier(result), str(unknown)))
    title = f"{rubric.title}: {len(pairs)} {rubric.kind}s, those with most sure points first"
    table(title, (rubric.kind, f"of {rubric.maximum:g}", "tier", "criteria unknown"), rows)


def show_asked(options: Options, catalogue: Catalogue) -> list[tuple[Card, Score]]:
    """Show the scores asked for, and the card where `show` was the command."""
    if options.name:
        card = catalogue.cards.find(options.name)
        card_score = score(card, catalogue.rubric(options.rubric, card.kind))
        if options.command == "show":
            show_card(card)
        show_parts(card, card_score)
        return [(card, card_score)]
    shown: list[tuple[Card, Score]] = []
    names = [catalogue.rubric(options.rubric, kind).name for kind in cards.KINDS]
    for name in dict.fromkeys(names):
        rubric = catalogue.rubrics[name]
        require_criteria(rubric)
        pairs = [(card, score(card, rubric)) for card in catalogue.cards.of_kind(rubric.kind)]
        show_scores(pairs, rubric)
        shown += pairs
    return shown


def run(options: Options) -> int:
    """Read everything, then do what was asked; the exit code."""
    catalogue = Catalogue(cards.load_cards(options.cards), load_rubrics(options.cards))
    if options.command in ("write", "validate"):
        write_json(options.json, flat.view(options.cards) if options.json else None)
        command = write if options.command == "write" else report_valid
        return command(options, catalogue)
    select = list_cards if options.command == "list" else show_asked
    write_json(options.json, list(starmap(flat.flatten_card, select(options, catalogue))))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_verb(run, parse_arguments(argv))
