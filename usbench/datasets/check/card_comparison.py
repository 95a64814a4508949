"""A card against the copy of the release that scripts/check.py has looked at: what can be measured,
must agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from usbench.catalogue.cards import Card, load_cards
from usbench.datasets.check.findings import Finding

KIND = "card"
TWINS = "identical pairs"
TOLD = {
    "stray pixels": "of no class colour",
    "rectangles": "rectangles",
}  # kind of defect → in a layout's words


@dataclass(frozen=True)
class Copy:
    """What was measured; of all tasks together."""

    whole: bool  # every view of the dataset was looked at
    images: int  # files
    sizes: Mapping[str, int]  # "height×width" → images
    classes: Mapping[str, int]  # name → images with it
    leaks: int  # test images that are near-duplicates of one in train or val
    twins: int  # pairs of images that are the same in every pixel
    told: Mapping[str, int]  # what the layouts took otherwise than written → how many


def card_of(key: str) -> Card | None:
    """The shipped card of a dataset that usbench runs, by its key."""
    return next((card for card in load_cards().datasets if card.key == key), None)


def compare(card: Card, copy: Copy) -> list[Finding]:
    """A note for every field of the card that the copy meets, a warning where they differ.

    A field that is unknown on the card isn't compared, and totals aren't where only some views were
    looked at.
    """
    return [
        *_images(card, copy),
        *_sizes(card, copy),
        *_classes(card, copy),
        *_leaks(card, copy),
        *_defects(card, copy),
    ]


def _finding(card: Card, name: str, wanted: str, found: str) -> Finding:
    """A note where both are the same, else a warning."""
    if wanted == found:
        return Finding("note", KIND, f"{name}: {wanted}, as on the card {card.id}")
    advice = "is this another version, or is the card wrong?"
    return Finding(
        "warning", KIND, f"{name}: {wanted} on the card {card.id}, {found} in this copy; {advice}"
    )


def _images(card: Card, copy: Copy) -> Iterator[Finding]:
    wanted = card.value("images")
    if wanted is not None and copy.whole:
        yield _finding(card, "images", f"{wanted:,}", f"{copy.images:,}")


def _sizes(card: Card, copy: Copy) -> Iterator[Finding]:
    """Sizes that the card doesn't have; with counts on the card, how many have each."""
    wanted = card.value("sizes")
    if wanted is None:
        return
    on_card = {f"{one['height']}×{one['width']}": one.get("images") for one in wanted}
    foreign = {size: count for size, count in copy.sizes.items() if size not in on_card}
    if foreign:
        yield _finding(card, "sizes", ", ".join(on_card), "also " + _counted(foreign))
    elif copy.whole and None not in on_card.values():
        counts = {size: int(count or 0) for size, count in on_card.items()}
        yield _finding(
            card,
            "sizes",
            _counted(counts),
            _counted({size: copy.sizes.get(size, 0) for size in on_card}),
        )
    else:
        yield Finding("note", KIND, f"sizes: all are on the card {card.id}")


def _counted(sizes: Mapping[str, int]) -> str:
    """512×534 (183), 512×512 (40)."""
    return ", ".join(f"{size} ({count:,})" for size, count in sizes.items())


def _classes(card: Card, copy: Copy) -> Iterator[Finding]:
    """Classes of which no image has any, and classes that aren't on the card."""
    wanted = card.value("classes")
    if wanted is None:
        return
    present = {name for name, count in copy.classes.items() if count}
    foreign = sorted(present - set(wanted))
    absent = [name for name in wanted if name not in present] if copy.whole else []
    told = [f"no image with {', '.join(absent)}"] if absent else []
    told += [f"also {', '.join(foreign)}"] if foreign else []
    names = ", ".join(wanted)
    yield _finding(card, "classes", names, "; ".join(told) or names)


def _leaks(card: Card, copy: Copy) -> Iterator[Finding]:
    wanted = card.value("leaks")
    if wanted is not None:
        yield _finding(card, "leaks", f"{wanted:,} test images", f"{copy.leaks:,} test images")


def _defects(card: Card, copy: Copy) -> Iterator[Finding]:
    """Those of a kind that is counted in the copy.

    What a layout tells of, only where it was looked at.
    """
    for defect in card.value("defects") or ():
        kind = defect.get("kind")
        if kind == TWINS:
            yield _finding(card, kind, f"{defect['count']:,}", f"{copy.twins:,}")
        elif kind and copy.whole:
            count = sum(count for name, count in copy.told.items() if TOLD[kind] in name)
            yield _finding(card, kind, f"{defect['count']:,}", f"{count:,}")
