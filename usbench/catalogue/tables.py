"""The catalogue as files: Markdown for people, CSV for programs. Same cards, same bytes.

Also how a card's values, points and tiers are written, wherever they are shown.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote

from usbench.catalogue.cards import KINDS, Card, Cards, Field, fields_of
from usbench.catalogue.rubrics import PointRule, Rubric
from usbench.catalogue.scoring import RUBRIC, Part, Score, score
from usbench.io.files import JsonObject
from usbench.io.plain_text import escape_markdown, quote_cell

HEAD = (
    "# Catalogue\n"
    "\n"
    "Written by `usbench catalogue` from the cards in `usbench/catalogue/`, not by hand. "
    "`usbench catalogue list --help` filters it, `show NAME` shows a whole card.\n"
    "\n"
    "- The names of rows 1 to 72 are those of Alsharid et al., npj Digit Med 2025;8:777, "
    "doi 10.1038/s41746-025-02162-4, as a third party copied its table. What that copy says of "
    "them is taken only where nothing speaks against it, and marked so on the card.\n"
    "- A field that can't be stood by is unknown: nothing is guessed. Each has its source and says "
    "whether it is verified: by the `author`, by a `third-party`, or `no`. All of it is in "
    "`CATALOGUE.csv`.\n"
    "- The scores are ours, by the rubrics below. A criterion whose field is unknown is worth "
    "anything from its fewest points to its most, so a score may be a range. Where less than 70 % "
    "of the points is known, none is shown.\n"
    "- The paper's own scores, SonoDQS and SonoMQS, are not given: their criteria could not be had "
    "while this was written (`usbench catalogue score --rubric sonodqs` says how to add "
    "them).\n"
)
TOO_LITTLE = "too little is known"
ADDRESS = ":/?#@!$&'*+,;=%~"  # what an address keeps besides letters, digits and -._
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


# ---- values, points, tiers


def format_value(value: object) -> str:
    """Format a field's value: yes or no, 12,468, a; b; c."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case list():
            return "; ".join(map(format_value, value)) or "none"
        case dict():
            return _format_entry(value)
    return " ".join(str(value).split())  # BibTeX has lines


def _format_entry(value: JsonObject) -> str:
    if "height" in value:
        count = f" ({value['images']:,})" if "images" in value else ""
        return f"{value['height']}×{value['width']}{count}"
    description = str(value["description"])
    if value.get("dataset"):
        return f"{value['dataset']}: {description}"
    return f"{description} ({value['count']:,})" if "count" in value else description


def format_field(name: str, field: Field | None) -> str:
    """Format a field as a card shows it: value and note, or why it is unknown."""
    if field is None:
        return "unknown"
    if field.value is None:
        return f"unknown: {field.unknown}"
    value = str(field.value) if name == "year" else format_value(field.value)  # no 2,025
    return f"{value} ({field.note})" if field.note else value


def format_amount(card: Card) -> str:
    """Format how much there is: images, videos, or ? where neither is known."""
    counts = {kind: card.value(kind) for kind in ("images", "videos")}
    amounts = [f"{count:,} {kind}" for kind, count in counts.items() if count]
    return ", ".join(amounts) or "?"


def format_range(low: float, high: float) -> str:
    """Format points: 15, or 0–10 for a range."""
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def format_points(card_score: Score) -> str:
    """Format a score, or say that too little of it is known."""
    if not card_score.is_shown:
        return TOO_LITTLE
    return format_range(card_score.low, card_score.high)


def format_tier(card_score: Score) -> str:
    """Format a tier: D, or D–C for a range; "" where the score isn't shown."""
    low, high = card_score.tier
    if not card_score.is_shown:
        return ""
    return low if low == high else f"{low}–{high}"


def _format_test(rule: PointRule) -> str:
    match rule.test:
        case "at_least":
            return f"≥ {rule.value:,g}"
        case "stated" | "otherwise":
            return rule.test
    return " or ".join(map(format_value, rule.accepted))


# ---- Markdown


def format_markdown(cards: Cards, rubrics: Mapping[str, Rubric]) -> str:
    """The whole catalogue as Markdown."""
    parts = [HEAD]
    for kind in KINDS:
        of_kind = cards.of_kind(kind)
        rubric = rubrics[RUBRIC[kind]]
        scores = [score(card, rubric) for card in of_kind]
        runnable = sum(card.key is not None for card in of_kind)
        titles, row = (
            (DATASET_COLUMNS, _dataset_row) if kind == "dataset" else (MODEL_COLUMNS, _model_row)
        )
        parts += [
            f"## {kind.capitalize()}s\n\n{len(of_kind)} cards; usbench runs {runnable} of them.\n",
            format_grid(titles, map(row, of_kind, scores)),
            f"### Their scores, line by line (`{rubric.name}`)\n",
            _format_points_table(of_kind, scores),
            f"### The rubric `{rubric.name}`\n\n{rubric.description}\n",
            _format_rubric(rubric),
        ]
    parts.append("## The datasets that usbench runs, field by field\n")
    parts += [_format_card(card) for card in cards.datasets if card.key is not None]
    return "\n".join(parts)


def _dataset_row(card: Card, card_score: Score) -> list[str]:
    return [
        str(card.row or ""),
        _linked_name(card),
        *_stated(card, "anatomy", "tasks"),
        format_amount(card),
        *_stated(card, "subjects", "access", "licence"),
        *_score_cells(card, card_score),
    ]


def _model_row(card: Card, card_score: Score) -> list[str]:
    weights = card.value("weights")
    return [
        _linked_name(card),
        str(card.value("year") or "?"),
        *_stated(card, "tasks", "parameters", "training"),
        _link("yes", weights) if weights not in (None, "none") else weights or "?",
        *_stated(card, "licence"),
        *_score_cells(card, card_score),
    ]


def _stated(card: Card, *fields: str) -> list[str]:
    """The fields' values, or ?."""
    return [escape_markdown(format_value(card.value(field))) or "?" for field in fields]


def _score_cells(card: Card, card_score: Score) -> tuple[str, str, str]:
    command = "`{}`".format(card.command.replace("`", "'")) if card.command else ""
    return format_points(card_score), format_tier(card_score), command


def _linked_name(card: Card) -> str:
    """The name, linked to the first of the card's links, else to its code."""
    code = card.value("code")
    links = card.value("links") or ([] if code in (None, "none") else [code])
    return _link(card.name, links[0]) if links else escape_markdown(card.name)


def _link(name: str, address: str) -> str:
    return f"[{escape_markdown(name)}]({quote(address, safe=ADDRESS)})"


def _format_points_table(cards: Sequence[Card], scores: Sequence[Score]) -> str:
    """Cards × criteria; the points of a row add up to its total."""
    rows = []
    for card, card_score in zip(cards, scores, strict=True):
        points = [format_range(part.low, part.high) for part in card_score.parts]
        rows.append([card.id, *points, format_points(card_score)])
    criteria = [f"{part.criterion} /{part.maximum:g}" for part in scores[0].parts]
    return format_grid(("card", *criteria, f"total /{scores[0].maximum:g}"), rows)


def _format_rubric(rubric: Rubric) -> str:
    rows = []
    for criterion in rubric.criteria:
        rules = "; ".join(f"{_format_test(rule)}: {rule.points:g}" for rule in criterion.rules)
        question, fields = criterion.description, ", ".join(criterion.fields)
        rows.append((criterion.name, f"{criterion.maximum:g}", question, fields, rules))
    table = format_grid(("criterion", "points", "question", "field", "worth"), rows)
    tiers = ", ".join(f"{tier.name} from {tier.start or 0:g}" for tier in rubric.tiers)
    return f"{table}\nTiers: {tiers} points.\n"


def _format_card(card: Card) -> str:
    rows = []
    for name in fields_of(card.kind):
        field = card.fields.get(name)
        origin = (field.source, field.verified) if field and field.value is not None else ("", "")
        rows.append((name, *map(escape_markdown, (format_field(name, field), *origin))))
    table = format_grid(("field", "value", "source", "verified"), rows)
    return f"### {escape_markdown(card.name)} (`{card.id}`)\n\n{table}"


def format_grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = []
    for row in (header, ["---"] * len(header), *rows):
        # one line per cell, in which a bar doesn't end the cell
        cells = (re.sub(r"(?<!\\)\|", r"\|", " ".join(cell.split())) for cell in row)
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


# ---- CSV


def format_csv(cards: Cards, rubrics: Mapping[str, Rubric]) -> str:
    """A line per card and field that it has, then its score and the parts (`score:criterion`)."""
    text = io.StringIO()
    table = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    for card in (*cards.datasets, *cards.models):
        for line in _csv_lines(card, score(card, rubrics[RUBRIC[card.kind]])):
            table.writerow({name: quote_cell(value) for name, value in line.items()})
    return text.getvalue()


def _csv_lines(card: Card, card_score: Score) -> Iterator[dict[str, object]]:
    about = {
        "kind": card.kind,
        "id": card.id,
        "name": card.name,
        "key": card.key,
        "alsharid2025": card.row,
    }
    for name, field in card.fields.items():
        value = field.value if type(field.value) is int else format_value(field.value)
        line: dict[str, object] = {**about, "field": name, "unknown": field.unknown, "value": value}
        if field.value is not None:
            line |= {"source": field.source, "verified": field.verified, "note": field.note}
        yield line
    rows: list[tuple[Score | Part, str, str, str]] = [
        (card_score, "score", format_tier(card_score), ""),
        *((part, f"score:{part.criterion}", "", part.why) for part in card_score.parts),
    ]
    for worth, name, value, note in rows:
        yield {
            **about,
            "field": name,
            "value": value,
            "low": f"{worth.low:g}",
            "high": f"{worth.high:g}",
            "of": f"{worth.maximum:g}",
            "source": card_score.rubric,
            "note": note,
        }
