"""A catalogue card against a copy of the release: what can be measured must agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from usbench.catalogue.cards import Card, load_cards
from usbench.datasets.check.findings import Finding

KIND = "card"
IDENTICAL_PAIRS = "identical pairs"
# kind of defect on a card → part of the description that a layout gives it
ODDITIES = {"stray pixels": "of no class colour", "rectangles": "rectangles"}


@dataclass(frozen=True)
class MeasuredRelease:
    """What was measured, of all tasks together."""

    whole: bool  # every view of the dataset was read
    images: int  # files
    sizes: Mapping[str, int]  # "height×width" → images
    classes: Mapping[str, int]  # name → images with it
    leaks: int  # test images that are near-duplicates of one in train or val
    identical_pairs: int  # pairs of images that are the same in every pixel
    oddities: Mapping[str, int]  # what layouts read otherwise than written → how many


def find_card(key: str) -> Card | None:
    """The shipped card of a dataset that usbench runs, by its key."""
    return next((card for card in load_cards().datasets if card.key == key), None)


def compare_card(card: Card, measured: MeasuredRelease) -> Iterator[Finding]:
    """A note for every field of the card that the copy agrees with, a warning where it differs.

    An unknown field isn't compared, and totals aren't where only some views were read.
    """
    images = card.value("images")
    if images is not None and measured.whole:
        yield _compare(card, "images", f"{images:,}", f"{measured.images:,}")
    yield from _compare_sizes(card, measured)
    yield from _compare_classes(card, measured)
    leaks = card.value("leaks")
    if leaks is not None:
        measured_leaks = f"{measured.leaks:,} test images"
        yield _compare(card, "leaks", f"{leaks:,} test images", measured_leaks)
    yield from _compare_defects(card, measured)


def _compare(card: Card, name: str, stated: str, measured: str) -> Finding:
    """A note where both are the same, else a warning."""
    if stated == measured:
        return Finding("note", KIND, f"{name}: {stated}, as on the card {card.id}")
    difference = f"{name}: {stated} on the card {card.id}, {measured} in this copy"
    return Finding("warning", KIND, f"{difference}; is this another version, or is the card wrong?")


def _compare_sizes(card: Card, measured: MeasuredRelease) -> Iterator[Finding]:
    """Sizes that the card doesn't have; with counts on the card, how many have each."""
    stated = card.value("sizes")
    if stated is None:
        return
    on_card = {f"{size['height']}×{size['width']}": size.get("images") for size in stated}
    foreign = {size: count for size, count in measured.sizes.items() if size not in on_card}
    if foreign:
        yield _compare(card, "sizes", ", ".join(on_card), "also " + _format_sizes(foreign))
    elif measured.whole and None not in on_card.values():
        in_copy = {size: measured.sizes.get(size, 0) for size in on_card}
        yield _compare(card, "sizes", _format_sizes(on_card), _format_sizes(in_copy))
    else:
        yield Finding("note", KIND, f"sizes: all are on the card {card.id}")


def _format_sizes(sizes: Mapping[str, int | None]) -> str:
    """Format counts: 512×534 (183), 512×512 (40)."""
    return ", ".join(f"{size} ({count:,})" for size, count in sizes.items())


def _compare_classes(card: Card, measured: MeasuredRelease) -> Iterator[Finding]:
    """Classes of which no image has any, and classes that aren't on the card."""
    stated = card.value("classes")
    if stated is None:
        return
    present = {name for name, count in measured.classes.items() if count}
    foreign = sorted(present.difference(stated))
    absent = [name for name in stated if name not in present]
    differences = []
    if absent and measured.whole:
        differences.append(f"no image with {', '.join(absent)}")
    if foreign:
        differences.append(f"also {', '.join(foreign)}")
    names = ", ".join(stated)
    yield _compare(card, "classes", names, "; ".join(differences) or names)


def _compare_defects(card: Card, measured: MeasuredRelease) -> Iterator[Finding]:
    """Defects of a kind that is counted in the copy; a layout's only where all views were read."""
    for defect in card.value("defects") or ():
        kind = defect.get("kind")
        if kind == IDENTICAL_PAIRS:
            yield _compare(card, kind, f"{defect['count']:,}", f"{measured.identical_pairs:,}")
        elif kind and measured.whole:
            count = sum(
                count for name, count in measured.oddities.items() if ODDITIES[kind] in name
            )
            yield _compare(card, kind, f"{defect['count']:,}", f"{count:,}")
