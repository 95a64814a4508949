"""How a dataset, a model and usbench itself are cited: BibTeX entries.

A dataset's YAML, a model's and a model's card may state entries as `bibtex`. Where none does, the
citation line becomes the note of a @misc entry; nothing is taken from its words but the DOI or arXiv
id of a line that cites one work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from usbench import __version__
from usbench.catalogue.cards import Card
from usbench.io.bibtex import Entry, read_entries
from usbench.io.latex import escape_latex

DOI = re.compile(r"\bdoi:? ?(10\.\d{4,}/[^\s,;]+)")
ARXIV = re.compile(r"\barXiv:? ?(\d{4}\.\d{4,5})\b")
USBENCH = Entry(
    "misc",
    "usbench",
    {
        "author": "{The usbench authors}",
        "title": "usbench: the benchmark harness for public ultrasound datasets",
        "note": f"Software, version {__version__}",
    },
)


def dataset_entries(name: str, node: Mapping[str, object]) -> list[Entry]:
    """The entries of a dataset: those that its YAML states, else one of its citation line.

    Args:
        name: of the dataset.
        node: its YAML.

    Returns:
        [] where the YAML states neither.

    Raises:
        ConfigError: `bibtex` isn't BibTeX.
    """
    if stated := node.get("bibtex"):
        return read_entries(str(stated), f"dataset={name}: bibtex")
    citation = str(node.get("citation") or "")
    if not citation:
        return []
    return [misc_entry(f"dataset-{name}", str(node.get("title") or name), citation)]


def model_entries(name: str, node: Mapping[str, object], card: Card | None) -> list[Entry]:
    """The entries of a model: those that its YAML or its card states, else one made of the card.

    Args:
        name: of the model.
        node: its YAML; {} where it has none.
        card: its card; None: it has none.

    Returns:
        [] where there is neither `bibtex` nor a card.

    Raises:
        ConfigError: `bibtex` isn't BibTeX.
    """
    if stated := stated_bibtex(node, card):
        return read_entries(str(stated), f"model={name}: bibtex")
    return [card_entry(card)] if card else []


def stated_bibtex(node: Mapping[str, object], card: Card | None) -> object:
    """The `bibtex` of a model's YAML, else of its card; None where neither states one."""
    return node.get("bibtex") or (card.value("bibtex") if card else None)


def card_entry(card: Card) -> Entry:
    """An entry of a card: its citation line, else where the model's code is."""
    fields = {}
    if year := card.value("year"):
        fields["year"] = str(year)
    citation = card.value("citation") or ""
    if not citation:
        fields["howpublished"] = escape_latex(str(card.value("code") or card.source))
    return misc_entry(f"model-{card.key or card.id}", card.name, citation, fields)


def misc_entry(
    key: str, title: str, citation: str, fields: Mapping[str, str] | None = None
) -> Entry:
    """A @misc entry with a citation line as its note.

    Args:
        key: of the entry.
        title: of what is cited.
        citation: one line; "": none is known.
        fields: further ones.
    """
    # Styles sort by author, else by `key`.
    content = {"key": escape_latex(title), "title": f"{{{escape_latex(title)}}}", **(fields or {})}
    dois, preprints = DOI.findall(citation), ARXIV.findall(citation)
    if len(dois) + len(preprints) == 1 and ";" not in citation:  # else it may be another work's
        content |= {"doi": dois[0]} if dois else {"eprint": preprints[0], "archiveprefix": "arXiv"}
    if citation:
        content["note"] = escape_latex(citation)
    return Entry("misc", key, content)
