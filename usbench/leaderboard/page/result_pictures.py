"""The pictures of a result's page: a JPEG, and over it truth and prediction as SVG in native pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from usbench.leaderboard.page.result_words import safe

# Bright, for a picture is dark in either theme.
COLOURS = [
    "#56c1ff",
    "#ffb31a",
    "#63e08a",
    "#ff7fae",
    "#c7a6ff",
    "#f5ef6b",
    "#ff8f66",
    "#5fe3d3",
    "#c3cdd6",
    "#dba977",
]
SWITCHES = (
    ("truth", "Truth (solid)"),
    ("prediction", "Prediction (dashed)"),
    ("coloured", "Class colours"),
)
SIDES = ("truth", "prediction")
PLAIN = '<li style="--c:#63e08a">truth</li><li style="--c:#ff7fae">prediction</li>'  # without class colours


def colour(number: int) -> str:
    """A class's; after ten they come again."""
    return COLOURS[number % len(COLOURS)]


def pictures(gallery: Mapping[str, Any], told: Mapping[str, str], leaking: Sequence[str]) -> str:
    """Switches, a legend and a figure per case. told: case → its quality in words; leaking: ids of images that
    resemble training images."""
    switches = "".join(
        f'<label><input type="checkbox" name="{name}" checked> {safe(words)}</label>'
        for name, words in SWITCHES
    )
    drawn = sorted(
        {
            shape["class"]
            for case in gallery["cases"]
            for side in SIDES
            for shape in case[side]["shapes"]
        }
    )
    keys = "".join(f'<li style="--c:{colour(n)}">{safe(gallery["classes"][n])}</li>' for n in drawn)
    figures = "\n".join(
        picture(case, gallery, told[case["case"]], leaking) for case in gallery["cases"]
    )
    return (
        f'<div class="pictures"><fieldset class="row switches unprinted"><legend>Show</legend>{switches}</fieldset>\n'
        f'<ul class="key" aria-label="Colours of the classes">{keys}</ul>\n'
        f'<ul class="key plain" aria-label="Colours of the outlines">{PLAIN}</ul>\n'
        f'<div class="trio">{figures}</div></div>'
    )


def picture(
    case: Mapping[str, Any], gallery: Mapping[str, Any], quality: str, leaking: Sequence[str]
) -> str:
    """One figure with its caption and whose image it is."""
    height, width = case["size"]
    told = f"{case['place'].capitalize()}: {case['case']}, {quality}"
    unsure = names(case["truth"]["unknown"], gallery["classes"])
    extra = ["near-duplicate of a training image"] if case["case"] in leaking else []
    extra += [f"not labelled: {unsure}"] if unsure else []
    layers = "".join(layer(side, case[side]["shapes"], width) for side in SIDES)
    return (
        f'<figure class="figure"><div class="picture" style="aspect-ratio:{width}/{height}">'
        f'<img src="data:image/jpeg;base64,{case["jpeg"]}" width="{width}" height="{height}" '
        f'alt="{safe(alternative(case, gallery["classes"], told))}">'
        f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{layers}</svg></div>'
        f"<figcaption><strong>{safe(told)}</strong>{''.join(f'<br>{safe(words)}' for words in extra)}<br>"
        f"Image: {safe(gallery['attribution'])}; recompressed, outlines drawn by usbench</figcaption></figure>"
    )


def alternative(case: Mapping[str, Any], classes: Sequence[str], told: str) -> str:
    """What a picture shows, in words."""
    height, width = case["size"]
    parts = []
    for side in SIDES:
        found = names(sorted({shape["class"] for shape in case[side]["shapes"]}), classes)
        parts.append(f"{side}: {found or 'nothing'}")
    return (
        f"{told}. Grey ultrasound image, {width} × {height} px. Drawn over it, {'; '.join(parts)}."
    )


def names(numbers: Sequence[int], classes: Sequence[str]) -> str:
    """Classes by their numbers."""
    return ", ".join(classes[number] for number in numbers)


def layer(side: str, shapes: Sequence[Mapping[str, Any]], width: int) -> str:
    """All shapes of the truth or of the prediction."""
    return f'<g class="{side}">{"".join(drawn(shape, width) for shape in shapes)}</g>'


def drawn(shape: Mapping[str, Any], width: int) -> str:
    """One shape. Areas, lines and points are given by pixel centres: half a pixel further in the picture's frame,
    where the first pixel reaches from 0 to 1. Boxes are edges, and lie there already."""
    style = f'style="--c:{colour(shape["class"])}"'
    if shape["kind"] == "box":
        x1, y1, x2, y2 = shape["at"][0]
        box = f'<rect {style} x="{x1}" y="{y1}" width="{tenths(x2 - x1)}" height="{tenths(y2 - y1)}"/>'
        if "score" not in shape:
            return box
        size = tenths(width / 30)
        above = tenths(max(size, y1 - size / 4))
        return f'{box}<text {style} x="{x1}" y="{above}" font-size="{size}">{shape["score"]:.2f}</text>'
    if shape["kind"] == "point":
        x, y = shape["at"][0]
        return f'<circle {style} cx="{x}" cy="{y}" r="{tenths(width / 150)}" transform="translate(.5 .5)"/>'
    end = "Z" if shape["kind"] == "area" else ""
    path = "".join(f"M{' '.join(str(value) for value in line)}{end}" for line in shape["at"])
    kind = "area" if end else "line"
    return f'<path class="{kind}" {style} transform="translate(.5 .5)" d="{path}"/>'


def tenths(length: float) -> float:
    """A length to the tenth of a pixel."""
    return round(length, 1)
