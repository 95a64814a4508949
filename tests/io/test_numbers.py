"""Numbers as text."""

import pytest

from usbench.io.numbers import format_count


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 groups"), (1, "1 group"), (2, "2 groups"), (1024, "1,024 groups")]
)
def test_a_number_of_things(number, text):
    assert format_count(number, "group") == text
