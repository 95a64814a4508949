"""Addresses in the sources and citations of papers, so that a page can link them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypedDict

# In this order: an address may hold what looks like a DOI. A repository is owner/name@commit.
ADDRESSES = re.compile(
    r"(?P<url>https?://[^\s;,)]+)"
    r"|\bdoi:? ?(?P<doi>10\.\d{4,}/[^\s,;)]+)"
    r"|\barXiv:? ?(?P<arxiv>\d{4}\.\d{4,5})\b"
    r"|\b(?P<repository>[A-Za-z0-9][\w.-]*/[\w.-]+)@(?P<commit>[0-9a-f]{7,40})\b"
)
PINNED = re.compile(r"(https://github\.com/[\w.-]+/[\w.-]+)@([0-9a-f]{7,40})$")


class Link(TypedDict):
    """A link with its text."""

    label: str
    href: str


def find_links(text: str) -> list[Link]:
    """The links of a text such as "Kumar 2025, doi 10.1038/…", each once, in their order."""
    links = {link["href"]: link for link in map(link_of, ADDRESSES.finditer(text))}
    return list(links.values())


def link_of(match: re.Match[str]) -> Link:
    """The link of one address."""
    if doi := match["doi"]:
        doi = doi.rstrip(".")
        return Link(label="DOI", href=f"https://doi.org/{doi}")
    if arxiv := match["arxiv"]:
        return Link(label="arXiv", href=f"https://arxiv.org/abs/{arxiv}")
    if repository := match["repository"]:
        return Link(label="code", href=f"https://github.com/{repository}/tree/{match['commit']}")
    url = match["url"].rstrip(".")
    if pinned := PINNED.fullmatch(url):
        url = f"{pinned[1]}/tree/{pinned[2]}"
    return Link(label="code" if "//github.com/" in url else "source", href=url)


def short_source(text: str) -> str:
    """What stands before the first address: "Kumar 2025"; else the first words."""
    match = ADDRESSES.search(text)
    name = text[: match.start()].strip(" ,;:(") if match else text
    if not name and match:
        name = link_of(match)["href"].removeprefix("https://").removeprefix("github.com/")
        name = "/".join(name.split("/")[:2])
    return name


def short_title(title: str, name: str) -> str:
    """A dataset's title without its details: "Nerves and vessels"; its name without a title."""
    return re.split(r" \(|, | for ", title)[0] or name


def iterate_slugs(texts: list[str]) -> Iterator[str]:
    """A short name of letters, digits and hyphens for each text; equal ones are numbered."""
    seen: dict[str, int] = {}
    for text in texts:
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
        seen[slug] = seen.get(slug, 0) + 1
        yield slug if seen[slug] == 1 else f"{slug}-{seen[slug]}"
