"""BibTeX entries: read strictly, written in one form."""

from __future__ import annotations

import pytest

from usbench.errors import ConfigError
from usbench.io.bibtex import Entry, read_entries, write_entries

TEXT = r"""
@Article{gomez2024,
  author = {G{\'o}mez, W. and {Coelho de
            A.}},
  Title={{BUS-BRA}: a set}, year = 2024, pages = {1--2},
}
@misc{b,
  note = {}
}
"""
ENTRIES = [
    Entry(
        "article",
        "gomez2024",
        {
            "author": r"G{\'o}mez, W. and {Coelho de A.}",
            "title": "{BUS-BRA}: a set",
            "year": "2024",
            "pages": "1--2",
        },
    ),
    Entry("misc", "b", {"note": ""}),
]
WRITTEN = r"""@article{gomez2024,
  author = {G{\'o}mez, W. and {Coelho de A.}},
  title  = {{BUS-BRA}: a set},
  year   = {2024},
  pages  = {1--2}
}

@misc{b,
  note = {}
}
"""


def test_entries_are_read_and_written_in_one_form():
    assert read_entries(TEXT, "x") == ENTRIES
    assert write_entries(ENTRIES) == WRITTEN
    assert read_entries(WRITTEN, "x") == ENTRIES


def test_no_text_has_no_entries():
    assert read_entries(" \n", "x") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("see the paper", "@kind{key, …}; got 'see the paper'"),
        ("@misc{a, note = {x}} by us", "@kind{key, …}; got 'by us'"),
        ("@misc{a b, note = {x}}", "@kind{key, …}; got '@misc{a b"),
        ("@misc{a, note = {x}", "a comma between fields, or } at the entry's end; got ''"),
        ("@misc{a, note = {x", "a } for each {; got '{x'"),
        ("@misc{a, note = {x} year = 2024}", "a comma between fields"),
        ('@misc{a, note = "x"}', "name = {value}"),
        ("@misc{a, note}", "name = {value}"),
    ],
)
def test_anything_else_is_one_line(text, says):
    with pytest.raises(ConfigError) as error:
        read_entries(text, "dataset=mine: bibtex")
    message = str(error.value)
    assert message.startswith("dataset=mine: bibtex: expected BibTeX, ") and says in message
