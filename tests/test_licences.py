"""The table of licences has every direct dependency, with the licence that its package states."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

import pytest

from tests.helpers.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TEXT = (ROOT / "usbench" / "README.md").read_text("utf-8")
DEVELOPMENT = ("test", "dev")  # extras of people who change usbench
STATED_AS = {  # what a package's metadata say
    "AGPL-3.0": r"AGPL|Affero",
    "GPL-3.0": r"GNU General Public License|\bGPL-3",
    "LGPL-3.0": r"LGPL|Lesser",
    "MPL-2.0": r"MPL|Mozilla",
    "Apache-2.0": r"Apache",
    "BSD": r"BSD",
    "MIT": r"\bMIT\b(?!-CMU)",
    "MIT-CMU": r"\bMIT-CMU\b",
    "PSF": r"Python Software Foundation|PSF",
}
COPYLEFT = re.compile(r"\b[AL]?GPL|Affero|General Public|Mozilla|\bMPL", re.I)


def names(requirements: list[str]) -> set[str]:
    """The packages of requirements, without our own extras."""
    found = {re.split(r"[\s\[<>=!~;]", requirement)[0] for requirement in requirements}
    return found - {"usbench"}


def table() -> dict[str, list[set[str]]]:
    """Licence → the packages in each column."""
    lines = TEXT.partition("| licence | always |")[2].splitlines()[2:]
    rows = {}
    for line in lines:
        if not line.startswith("|"):
            break
        licence, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[licence] = [set(filter(None, cell.split(", "))) for cell in cells]
    return rows


TABLE = table()
LICENCES = {name: licence for licence, cells in TABLE.items() for cell in cells for name in cell}


def test_every_direct_dependency_is_in_its_column():
    extras = PROJECT["optional-dependencies"]
    optional = [names(parts) for extra, parts in extras.items() if extra not in DEVELOPMENT]
    expected = [
        names(PROJECT["dependencies"]),
        set().union(*optional),
        set().union(*(names(extras[extra]) for extra in DEVELOPMENT)),
    ]
    assert [set().union(*column) for column in zip(*TABLE.values(), strict=True)] == expected
    entries = [name for cells in TABLE.values() for cell in cells for name in cell]
    assert len(entries) == len(set(entries))


def stated_licence(name: str) -> str:
    """What an installed package says of its licence: its metadata, else its licence's title."""
    package = distribution(name)
    classifiers = package.metadata.get_all("Classifier") or []
    stated = [line for line in classifiers if line.startswith("License ::")]
    expression = package.metadata.get("License-Expression")
    short = (package.metadata.get("License") or "").strip()[:60]
    stated += filter(None, [expression, short])
    if any(re.search(pattern, text) for pattern in STATED_AS.values() for text in stated):
        return " ".join(stated)
    files = [path for path in package.files or [] if "LICEN" in path.name.upper()]
    return " ".join(files[0].read_text("utf-8").split())[:60] if files else ""


@pytest.mark.parametrize("name", sorted(LICENCES))
def test_the_licence_is_the_one_that_the_package_states(name):
    try:
        stated = stated_licence(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} isn't installed")
    licence = LICENCES[name]
    assert re.search(STATED_AS[licence], stated), stated
    assert bool(COPYLEFT.search(stated)) == bool(COPYLEFT.search(licence)), stated


def test_the_readme_leads_to_the_table():
    assert "usbench/README.md#licences-of-the-dependencies" in (ROOT / "README.md").read_text(
        "utf-8"
    )
