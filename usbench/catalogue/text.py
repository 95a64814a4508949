"""The catalogue as files: Markdown for people, CSV for programs. The same cards give the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence

from usbench.catalogue.cards import KINDS, Card, Cards, Kind, fields_of
from usbench.catalogue.rubrics import Rubric
from usbench.catalogue.scoring import RUBRIC, Score, score, shown
from usbench.catalogue.wording import amount, gained, plain, points, rules, stated, tiers

HEAD = """# Catalogue

Written by `python scripts/catalogue.py` from the cards in `usbench/catalogue/`, not by hand. `python scripts/catalogue.py list --help` filters it, `show NAME` shows a whole card.

- The names of rows 1 to 72 are those of Alsharid et al., npj Digit Med 2025;8:777, doi 10.1038/s41746-025-02162-4, as a third party copied its table. What that copy says of them is taken only where nothing speaks against it, and marked so on the card.
- A field that can't be stood by is unknown: nothing is guessed. Each has its source and says whether it is verified: by the `author`, by a `third-party`, or `no`. All of it is in `CATALOGUE.csv`.
- The scores are ours, by the rubrics below. A criterion whose field is unknown is worth anything from its fewest points to its most, so a card of which little is known has a wide range: that says more about the card than about the dataset.
- The paper's own scores, SonoDQS and SonoMQS, are not given: their criteria could not be had while this was written (`python scripts/catalogue.py score --rubric sonodqs` says how to add them).
"""
COLUMNS = ("kind", "id", "name", "key", "alsharid2025", "field", "value", "unknown")
MORE = ("low", "high", "of", "source", "verified", "note")


def scores(cards: Sequence[Card], rubric: Rubric) -> dict[str, Score]:
    """{id: score} of cards of one kind."""
    return {card.id: score(card, rubric) for card in cards}


# ---- Markdown


def markdown(cards: Cards, sheets: Mapping[str, Rubric]) -> str:
    """The whole catalogue."""
    parts = [HEAD]
    for kind, title, table in _SECTIONS:
        of_kind, rubric = cards.of(kind), sheets[RUBRIC[kind]]
        scored = scores(of_kind, rubric)
        runnable = sum(card.runnable for card in of_kind)
        parts += [
            f"## {title}\n\n{len(of_kind)} cards; usbench runs {runnable} of them.\n",
            table(of_kind, scored),
        ]
        parts += [f"### Their scores, line by line (`{rubric.name}`)\n", _matrix(of_kind, scored)]
        parts += [f"### The rubric `{rubric.name}`\n\n{rubric.words}\n", _sheet(rubric)]
    parts += ["## The datasets that usbench runs, field by field\n"]
    parts += [_whole(card) for card in cards.datasets if card.runnable]
    return "\n".join(parts)


def _datasets(cards: Sequence[Card], scored: Mapping[str, Score]) -> str:
    header = (
        "row",
        "dataset",
        "anatomy",
        "tasks",
        "size",
        "subjects",
        "access",
        "licence",
        "score",
        "tier",
        "run it",
    )
    return grid(header, ((str(card.row or ""), *_dataset(card, scored[card.id])) for card in cards))


def _dataset(card: Card, scored: Score) -> tuple[str, ...]:
    """A row of `_datasets`."""
    said = [plain(card.value(field)) or "?" for field in ("anatomy", "tasks")]
    more = [plain(card.value(field)) or "?" for field in ("subjects", "access", "licence")]
    return _linked(card), *said, amount(card), *more, *_score(card, scored)


def _models(cards: Sequence[Card], scored: Mapping[str, Score]) -> str:
    header = (
        "model",
        "year",
        "tasks",
        "parameters",
        "trained on",
        "weights",
        "licence",
        "score",
        "tier",
        "run it",
    )
    return grid(header, (_model(card, scored[card.id]) for card in cards))


def _model(card: Card, scored: Score) -> tuple[str, ...]:
    """A row of `_models`."""
    year, weights = card.value("year"), card.value("weights")
    had = "?" if weights is None else "none" if weights == "none" else f"[yes]({weights})"
    said = [plain(card.value(field)) or "?" for field in ("tasks", "parameters", "training")]
    return (
        _linked(card),
        str(year or "?"),
        *said,
        had,
        plain(card.value("licence")) or "?",
        *_score(card, scored),
    )


def _score(card: Card, scored: Score) -> tuple[str, str, str]:
    """Score, tier and command."""
    return (
        points(scored.low, scored.high),
        tiers(scored),
        f"`{card.command}`" if card.command else "",
    )


def _linked(card: Card) -> str:
    """The name, linked to the first of its links."""
    links = card.value("links") or [
        address for address in (card.value("code"),) if address not in (None, "none")
    ]
    name = f"{card.name}"
    return f"[{name}]({links[0]})" if links else name


def _matrix(cards: Sequence[Card], scored: Mapping[str, Score]) -> str:
    """Cards × criteria; the points of a row add up to its total."""
    first = scored[cards[0].id]
    header = (
        "card",
        *(f"{part.criterion} /{shown(part.of)}" for part in first.parts),
        f"total /{shown(first.of)}",
    )
    rows = []
    for card in cards:
        one = scored[card.id]
        rows.append((card.id, *map(gained, one.parts), points(one.low, one.high)))
    return grid(header, rows)


def _sheet(rubric: Rubric) -> str:
    """Criteria, then tiers."""
    lines = [
        (one.name, shown(one.of), one.words, ", ".join(one.fields), rules(one))
        for one in rubric.criteria
    ]
    named = ", ".join(f"{tier.name} from {shown(tier.start or 0)}" for tier in rubric.tiers)
    return (
        grid(("criterion", "points", "question", "field", "worth"), lines)
        + f"\nTiers: {named} points.\n"
    )


def _whole(card: Card) -> str:
    """A complete card."""
    rows = []
    for name in fields_of(card.kind):
        field = card.fields.get(name)
        known = field is not None and field.known
        source = (field.source, field.verified) if field and known else ("", "")
        rows.append((name, stated(name, field), *source))
    return f"### {card.name} (`{card.id}`)\n\n" + grid(
        ("field", "value", "source", "verified"), rows
    )


def grid(header: Sequence[str], rows: Sequence[Sequence[str]] | Iterator[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    """A cell's text on one line; a bar doesn't end it."""
    return " ".join(text.split()).replace("|", "\\|")


_SECTIONS: tuple[tuple[Kind, str, Callable[[Sequence[Card], Mapping[str, Score]], str]], ...] = (
    ("dataset", "Datasets", _datasets),
    ("model", "Models", _models),
)


# ---- CSV


def comma_separated(cards: Cards, sheets: Mapping[str, Rubric]) -> str:
    """A line per card and field that it has, then its score (`score`) and the score's parts (`score:criterion`)."""
    text = io.StringIO()
    table = csv.DictWriter(text, (*COLUMNS, *MORE), restval="", lineterminator="\n")
    table.writeheader()
    for kind in KINDS:
        for card in cards.of(kind):
            table.writerows(_lines(card, score(card, sheets[RUBRIC[kind]])))
    return text.getvalue()


def _lines(card: Card, scored: Score) -> Iterator[dict[str, object]]:
    """The lines of a card."""
    about = {
        "kind": card.kind,
        "id": card.id,
        "name": card.name,
        "key": card.key,
        "alsharid2025": card.row,
    }
    for name, field in card.fields.items():
        said = (
            {"source": field.source, "verified": field.verified, "note": field.note}
            if field.known
            else {}
        )
        value = field.value if type(field.value) is int else plain(field.value)
        yield {**about, "field": name, "value": value, "unknown": field.unknown, **said}
    total = {
        "low": shown(scored.low),
        "high": shown(scored.high),
        "of": shown(scored.of),
        "source": scored.rubric,
    }
    yield {**about, "field": "score", "value": tiers(scored), **total}
    for part in scored.parts:
        worth = {
            "low": shown(part.low),
            "high": shown(part.high),
            "of": shown(part.of),
            "source": scored.rubric,
        }
        yield {**about, "field": f"score:{part.criterion}", **worth, "note": part.why}
