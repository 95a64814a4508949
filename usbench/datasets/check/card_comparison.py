"""A catalogue card against a copy of the release: what can be measured must agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from usbench.catalogue.cards import Card
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


def compare_card(card: Card, measured: MeasuredRelease) -> Iterator[Finding]:
    """A note for every field of the card that the copy agrees with, a warning where it differs.

    An unknown field isn't compared, and totals aren't where only some views were read.
    """
    images = card.value("images")
    if images is not None and measured.whole:
        yield _compare(card, "images", f"{images:,}", f"{measured.images:,}")
    yield from _compare_sizes(card, measured)
    stated = card.value("classes")
    if stated is not None:
        names = ", ".join(stated)
        yield _compare(card, "classes", names, _class_differences(stated, measured) or names)
    leaks = card.value("leaks")
    if leaks is not None:
        yield _compare(card, "leaks", f"{leaks:,} test images", f"{measured.leaks:,} test images")
    for defect in card.value("defects") or ():
        count = _count_defect(defect.get("kind"), measured)
        if count is not None:
            yield _compare(card, defect["kind"], f"{defect['count']:,}", f"{count:,}")


def _compare(card: Card, name: str, stated: str, in_copy: str) -> Finding:
    if stated == in_copy:
        return Finding("note", KIND, f"{name}: {stated}, as on the card {card.id}")
    return Finding(
        "warning",
        KIND,
        f"{name}: {stated} on the card {card.id}, {in_copy} in this copy; "
        "is this another version, or is the card wrong?",
    )


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
        yield _compare(
            card,
            "sizes",
            _format_sizes(on_card),
            _format_sizes({size: measured.sizes.get(size, 0) for size in on_card}),
        )
    else:
        yield Finding("note", KIND, f"sizes: all are on the card {card.id}")


def _format_sizes(sizes: Mapping[str, int | None]) -> str:
    return ", ".join(f"{size} ({count:,})" for size, count in sizes.items())


def _class_differences(stated: Sequence[str], measured: MeasuredRelease) -> str:
    """Classes of the card that no image has, and classes that aren't on the card; or ""."""
    present = {name for name, count in measured.classes.items() if count}
    absent = [name for name in stated if name not in present]
    foreign = sorted(present.difference(stated))
    differences = (
        f"no image with {', '.join(absent)}" if absent and measured.whole else "",
        f"also {', '.join(foreign)}" if foreign else "",
    )
    return "; ".join(filter(None, differences))


def _count_defect(kind: str | None, measured: MeasuredRelease) -> int | None:
    """How many defects of a kind the copy has; None where that wasn't counted in all views."""
    if kind == IDENTICAL_PAIRS:
        return measured.identical_pairs
    if kind is None or not measured.whole:
        return None
    return sum(count for name, count in measured.oddities.items() if ODDITIES[kind] in name)
