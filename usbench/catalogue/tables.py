"""The catalogue as files: Markdown for people, CSV for programs. Same cards, same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from usbench.catalogue.cards import KINDS, Card, Cards, fields_of
from usbench.catalogue.rubrics import Rubric
from usbench.catalogue.scoring import RUBRIC, Part, Score, format_points, score
from usbench.catalogue.wording import (
    format_amount,
    format_field,
    format_range,
    format_rules,
    format_tier,
    format_value,
)

HEAD = (
    "# Catalogue\n"
    "\n"
    "Written by `python scripts/catalogue.py` from the cards in `usbench/catalogue/`, not by hand. "
    "`python scripts/catalogue.py list --help` filters it, `show NAME` shows a whole card.\n"
    "\n"
    "- The names of rows 1 to 72 are those of Alsharid et al., npj Digit Med 2025;8:777, "
    "doi 10.1038/s41746-025-02162-4, as a third party copied its table. What that copy says of "
    "them is taken only where nothing speaks against it, and marked so on the card.\n"
    "- A field that can't be stood by is unknown: nothing is guessed. Each has its source and says "
    "whether it is verified: by the `author`, by a `third-party`, or `no`. All of it is in "
    "`CATALOGUE.csv`.\n"
    "- The scores are ours, by the rubrics below. A criterion whose field is unknown is worth "
    "anything from its fewest points to its most, so a card of which little is known has a wide "
    "range: that says more about the card than about the dataset.\n"
    "- The paper's own scores, SonoDQS and SonoMQS, are not given: their criteria could not be had "
    "while this was written (`python scripts/catalogue.py score --rubric sonodqs` says how to add "
    "them).\n"
)
DATASET_COLUMNS = (
    *("row", "dataset", "anatomy", "tasks", "size", "subjects", "access", "licence"),
    *("score", "tier", "run it"),
)
MODEL_COLUMNS = (
    *("model", "year", "tasks", "parameters", "trained on", "weights", "licence"),
    *("score", "tier", "run it"),
)
CSV_COLUMNS = (
    *("kind", "id", "name", "key", "alsharid2025", "field", "value", "unknown"),
    *("low", "high", "of", "source", "verified", "note"),
)


# ---- Markdown


def format_markdown(cards: Cards, rubrics: Mapping[str, Rubric]) -> str:
    """The whole catalogue as Markdown."""
    parts = [HEAD]
    for kind in KINDS:
        of_kind = cards.of_kind(kind)
        rubric = rubrics[RUBRIC[kind]]
        scores = {card.id: score(card, rubric) for card in of_kind}
        rows = _dataset_rows if kind == "dataset" else _model_rows
        runnable = sum(card.runnable for card in of_kind)
        count = f"{len(of_kind)} cards; usbench runs {runnable} of them."
        parts += [
            f"## {kind.capitalize()}s\n\n{count}\n",
            format_grid(
                DATASET_COLUMNS if kind == "dataset" else MODEL_COLUMNS, rows(of_kind, scores)
            ),
            f"### Their scores, line by line (`{rubric.name}`)\n",
            _format_points_table(of_kind, scores),
            f"### The rubric `{rubric.name}`\n\n{rubric.description}\n",
            _format_rubric(rubric),
        ]
    parts.append("## The datasets that usbench runs, field by field\n")
    parts += [_format_card(card) for card in cards.datasets if card.runnable]
    return "\n".join(parts)


def _dataset_rows(cards: Sequence[Card], scores: Mapping[str, Score]) -> Iterator[Sequence[str]]:
    for card in cards:
        yield (
            str(card.row or ""),
            _linked_name(card),
            _known(card, "anatomy"),
            _known(card, "tasks"),
            format_amount(card),
            _known(card, "subjects"),
            _known(card, "access"),
            _known(card, "licence"),
            *_score_cells(card, scores[card.id]),
        )


def _model_rows(cards: Sequence[Card], scores: Mapping[str, Score]) -> Iterator[Sequence[str]]:
    for card in cards:
        weights = _known(card, "weights")
        yield (
            _linked_name(card),
            str(card.value("year") or "?"),
            _known(card, "tasks"),
            _known(card, "parameters"),
            _known(card, "training"),
            weights if weights in ("?", "none") else f"[yes]({weights})",
            _known(card, "licence"),
            *_score_cells(card, scores[card.id]),
        )


def _known(card: Card, field: str) -> str:
    """A field's value, or ?."""
    return format_value(card.value(field)) or "?"


def _score_cells(card: Card, card_score: Score) -> tuple[str, str, str]:
    """Score, tier and command."""
    command = f"`{card.command}`" if card.command else ""
    return format_range(card_score.low, card_score.high), format_tier(card_score), command


def _linked_name(card: Card) -> str:
    """The name, linked to the first of the card's links, else to its code."""
    code = card.value("code")
    links = card.value("links") or ([] if code in (None, "none") else [code])
    return f"[{card.name}]({links[0]})" if links else card.name


def _format_points_table(cards: Sequence[Card], scores: Mapping[str, Score]) -> str:
    """Cards × criteria; the points of a row add up to its total."""
    first = scores[cards[0].id]
    criteria = [f"{part.criterion} /{format_points(part.maximum)}" for part in first.parts]
    rows = []
    for card in cards:
        card_score = scores[card.id]
        points = [format_range(part.low, part.high) for part in card_score.parts]
        rows.append((card.id, *points, format_range(card_score.low, card_score.high)))
    return format_grid(("card", *criteria, f"total /{format_points(first.maximum)}"), rows)


def _format_rubric(rubric: Rubric) -> str:
    """Criteria, then tiers."""
    rows = []
    for criterion in rubric.criteria:
        maximum = format_points(criterion.maximum)
        fields = ", ".join(criterion.fields)
        rules = format_rules(criterion)
        rows.append((criterion.name, maximum, criterion.description, fields, rules))
    table = format_grid(("criterion", "points", "question", "field", "worth"), rows)
    tiers = ", ".join(f"{tier.name} from {format_points(tier.start or 0)}" for tier in rubric.tiers)
    return f"{table}\nTiers: {tiers} points.\n"


def _format_card(card: Card) -> str:
    """A complete card."""
    rows = []
    for name in fields_of(card.kind):
        field = card.fields.get(name)
        origin = (field.source, field.verified) if field and field.known else ("", "")
        rows.append((name, format_field(name, field), *origin))
    table = format_grid(("field", "value", "source", "verified"), rows)
    return f"### {card.name} (`{card.id}`)\n\n{table}"


def format_grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = []
    for row in (header, ["---"] * len(header), *rows):
        # one line per cell, in which a bar doesn't end the cell
        cells = (" ".join(cell.split()).replace("|", "\\|") for cell in row)
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


# ---- CSV


def format_csv(cards: Cards, rubrics: Mapping[str, Rubric]) -> str:
    """A line per card and field that it has, then its score and the parts (`score:criterion`)."""
    text = io.StringIO()
    table = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    for kind in KINDS:
        for card in cards.of_kind(kind):
            table.writerows(_csv_lines(card, score(card, rubrics[RUBRIC[kind]])))
    return text.getvalue()


def _csv_lines(card: Card, card_score: Score) -> Iterator[dict[str, object]]:
    """The lines of a card."""
    about = {
        "kind": card.kind,
        "id": card.id,
        "name": card.name,
        "key": card.key,
        "alsharid2025": card.row,
    }
    for name, field in card.fields.items():
        line: dict[str, object] = {**about, "field": name, "unknown": field.unknown}
        line["value"] = field.value if type(field.value) is int else format_value(field.value)
        if field.known:
            line |= {"source": field.source, "verified": field.verified, "note": field.note}
        yield line
    yield {
        **about,
        "field": "score",
        "value": format_tier(card_score),
        **_csv_points(card_score, card_score),
    }
    for part in card_score.parts:
        points = _csv_points(part, card_score)
        yield {**about, "field": f"score:{part.criterion}", **points, "note": part.why}


def _csv_points(worth: Score | Part, card_score: Score) -> dict[str, object]:
    """The columns of points."""
    return {
        "low": format_points(worth.low),
        "high": format_points(worth.high),
        "of": format_points(worth.maximum),
        "source": card_score.rubric,
    }
