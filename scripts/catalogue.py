"""The catalogue of public ultrasound datasets and models: cards, what is known of each and by whom, and scores.

    python scripts/catalogue.py                             regenerate results/CATALOGUE.md and .csv from the cards
    python scripts/catalogue.py --check                     write nothing; exit 1 where the files there differ
    python scripts/catalogue.py list --anatomy heart --access open
    python scripts/catalogue.py list --models --task segment --runnable
    python scripts/catalogue.py show usgra                  a whole card: every field, who says so, the score's parts
    python scripts/catalogue.py score                       all scores; score NAME: one, line by line
    python scripts/catalogue.py score --rubric sonodqs      by another rubric
    python scripts/catalogue.py validate                    are all cards and rubrics sound?

The cards are datasets.yaml and models.yaml of usbench/catalogue, the rubrics its rubrics/*.yaml; --cards DIR takes a
folder of your own with the same layout (without rubrics: ours). What isn't known is unknown, and makes a score a range.
Exit code 0; 1 for a bad card, a missing sheet, files that differ; 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usbench.catalogue import cards, flat, rubrics, text, wording
from usbench.catalogue.cards import Card, Cards, Kind, fields_of
from usbench.catalogue.filters import Filter, select, words
from usbench.catalogue.rubrics import Rubric
from usbench.catalogue.scoring import RUBRIC, Score, require_sheet, score
from usbench.errors import ConfigError, UsbenchError
from usbench.io.console import say, table, warn
from usbench.io.files import write_all

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("write", "list", "show", "score", "validate")
OF = {  # which command takes what
    **dict.fromkeys(("anatomy", "task", "access", "licence", "runnable", "models"), ("list",)),
    **dict.fromkeys(("check", "results"), ("write",)),
    "rubric": ("score", "show"),
    "name": ("score", "show"),
}


@dataclass(frozen=True)
class Catalogue:
    """All of a folder."""

    cards: Cards
    rubrics: Mapping[str, Rubric]

    def rubric(self, name: str | None, kind: Kind) -> Rubric:
        """The rubric named, or ours for this kind of card. ConfigError for a name that isn't there."""
        wanted = name or RUBRIC[kind]
        if wanted not in self.rubrics:
            raise ConfigError(f"--rubric {wanted}: one of {', '.join(self.rubrics)} was wanted")
        return self.rubrics[wanted]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; an option that the command doesn't take is an error."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("command", nargs="?", choices=COMMANDS, default="write", help="default: %(default)s")
    add("name", nargs="?", metavar="NAME", help="show, score: id, key or name of a card")
    for name, kinds in (("anatomy", ("dataset",)), ("task", cards.KINDS), ("access", ("dataset",))):
        values = words({"task": "tasks"}.get(name, name), kinds)
        add(f"--{name}", choices=values, metavar="WORD", help=f"list: {', '.join(values)}")
    add(
        "--licence",
        choices=words("licence"),
        metavar="WORD",
        help=f"list: {', '.join(words('licence'))}",
    )
    add("--runnable", action="store_true", help="list: only what usbench runs")
    add("--models", action="store_true", help="list: models instead of datasets")
    add("--rubric", metavar="NAME", help="show, score: default usbench-dataset and usbench-model")
    add(
        "--check",
        action="store_true",
        help="write: write nothing; exit 1 where the files there differ",
    )
    add("--results", type=Path, metavar="DIR", help="write: default results/ of the checkout")
    add(
        "--cards",
        type=Path,
        default=cards.SHIPPED,
        metavar="DIR",
        help="a folder of cards of your own",
    )
    add(
        "--json",
        type=Path,
        metavar="FILE",
        help="write what is shown as JSON too; write, validate: everything",
    )
    options = parser.parse_args(argv)
    for name, commands in OF.items():
        if getattr(options, name) and options.command not in commands:
            parser.error(
                f"{options.command} doesn't take {name}: that is for {' and '.join(commands)}"
            )
    if options.command == "show" and not options.name:
        parser.error("show: the id, key or name of a card was wanted")
    if options.command == "write" and options.cards != cards.SHIPPED and not options.results:
        parser.error("write: cards of your own want --results DIR, so that ours aren't overwritten")
    if options.models and (options.anatomy or options.access):
        parser.error("--models: a model has neither --anatomy nor --access")
    return options


# ---- write, validate


def write(options: argparse.Namespace, found: Catalogue) -> int:
    """Regenerate the files, or with --check say which differ."""
    folder = options.results or ROOT / "results"
    made = {"md": text.markdown, "csv": text.comma_separated}
    files = {
        folder / f"CATALOGUE.{kind}": to(found.cards, found.rubrics).encode()
        for kind, to in made.items()
    }
    if options.check:
        differing = [
            path for path, data in files.items() if not path.exists() or path.read_bytes() != data
        ]
        for path in differing:
            warn(f"{path}: isn't what the cards give; run python scripts/catalogue.py")
        if not differing:
            say(f"{' and '.join(map(str, files))}: up to date")
        return 1 if differing else 0
    write_all(files)
    say(
        f"{' and '.join(map(str, files))}: {len(found.cards.datasets)} datasets, {len(found.cards.models)} models"
    )
    return 0


def validate(found: Catalogue) -> int:
    """Everything has been read: say what there is, and which sheets are missing."""
    say(
        f"{len(found.cards.datasets)} datasets and {len(found.cards.models)} models: every card is sound"
    )
    for name, rubric in found.rubrics.items():
        state = (
            f"{len(rubric.criteria)} criteria, {rubric.of:g} points"
            if rubric.criteria
            else "its sheet is missing"
        )
        say(f"rubric {name}: {state}")
    return 0


# ---- list


def listed(options: argparse.Namespace, found: Catalogue) -> list[Card]:
    """The cards that the filters leave, shown."""
    kind: Kind = "model" if options.models else "dataset"
    wanted = Filter(
        options.anatomy, options.task, options.access, options.licence, options.runnable
    )
    chosen = select(found.cards.of(kind), wanted)
    rubric = found.rubric(None, kind)
    named = (
        ("anatomy", "tasks", "access", "licence")
        if kind == "dataset"
        else ("tasks", "parameters", "licence")
    )
    rows = []
    for card in chosen:
        scored = score(card, rubric)
        said = [wording.plain(card.value(field)).replace("; ", ", ") or "?" for field in named]
        size = [wording.amount(card)] if kind == "dataset" else []
        rows.append(
            (card.id, *size, *said, wording.points(scored.low, scored.high), wording.tiers(scored))
        )
    header = ("id", *(("size",) if kind == "dataset" else ()), *named, f"of {rubric.of:g}", "tier")
    table(f"{len(chosen)} of {len(found.cards.of(kind))} {kind}s", header, rows)
    hidden = any(getattr(options, name) for name in ("anatomy", "task", "access", "licence"))
    if hidden:
        say("a card that doesn't say what was asked for isn't listed")
    return chosen


# ---- show, score


def show(card: Card, scored: Score) -> None:
    """A whole card, on lines of their own: addresses can be copied at any width."""
    say(f"{card.name} ({card.kind} {card.id})")
    say(f"run it: {card.command}" if card.command else "usbench doesn't run it")
    say(f"source, where no other is named: {card.source} [verified: {card.verified}]")
    for name in fields_of(card.kind):
        field = card.fields.get(name)
        own = (
            field is None
            or not field.known
            or (field.source, field.verified) == (card.source, card.verified)
        )
        said = "" if field is None or own else f"   [{field.source}; verified: {field.verified}]"
        say(f"  {name:<14} {wording.stated(name, field)}{said}")
    parts(card, scored)


def parts(card: Card, scored: Score) -> None:
    """A score, line by line."""
    rows = [
        (part.criterion, wording.gained(part), f"{part.of:g}", part.why) for part in scored.parts
    ]
    rows.append(
        (
            "total",
            wording.points(scored.low, scored.high),
            f"{scored.of:g}",
            f"tier {wording.tiers(scored)}",
        )
    )
    table(f"{card.id} by {scored.rubric}", ("criterion", "points", "of", "why"), rows)


def compared(chosen: Sequence[Card], rubric: Rubric) -> None:
    """Many scores, the highest sure one first."""
    scored = {card.id: score(card, rubric) for card in chosen}
    order = sorted(chosen, key=lambda card: (-scored[card.id].low, -scored[card.id].high, card.id))
    rows = []
    for card in order:
        one = scored[card.id]
        unknown = sum(part.points is None for part in one.parts)
        rows.append((card.id, wording.points(one.low, one.high), wording.tiers(one), str(unknown)))
    header = (rubric.kind, f"of {rubric.of:g}", "tier", "criteria unknown")
    table(
        f"{rubric.title}: {len(chosen)} {rubric.kind}s, those with most sure points first",
        header,
        rows,
    )


def scoring(options: argparse.Namespace, found: Catalogue) -> list[tuple[Card, Score]]:
    """The scores asked for, shown."""
    if options.name:
        card = found.cards.named(options.name)
        scored = score(card, found.rubric(options.rubric, card.kind))
        show(card, scored) if options.command == "show" else parts(card, scored)
        return [(card, scored)]
    chosen = [found.rubric(options.rubric, kind) for kind in cards.KINDS]
    done = []
    for rubric in dict.fromkeys(one.name for one in chosen):
        sheet = found.rubrics[rubric]
        require_sheet(sheet)
        compared(found.cards.of(sheet.kind), sheet)
        done += [(card, score(card, sheet)) for card in found.cards.of(sheet.kind)]
    return done


# ---- the command


def run(options: argparse.Namespace) -> int:
    """Read everything, then do what was asked; the exit code."""
    found = Catalogue(cards.load(options.cards), rubrics.load(options.cards))
    code = 0
    if options.command == "list":
        chosen = listed(options, found)
        facts: Any = [
            flat.flat(card, score(card, found.rubric(None, card.kind))) for card in chosen
        ]
    elif options.command in ("show", "score"):
        facts = [flat.flat(card, scored) for card, scored in scoring(options, found)]
    else:
        code = validate(found) if options.command == "validate" else write(options, found)
        facts = flat.view(options.cards) if options.json else None
    if options.json:
        write_all({options.json: (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode()})
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    options = arguments(argv)
    try:
        return run(options)
    except UsbenchError as error:
        warn(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
