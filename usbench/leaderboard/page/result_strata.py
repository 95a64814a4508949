"""The strata of a result's page: what the test of one variable says."""

from __future__ import annotations

from usbench.io.numbers import format_count
from usbench.metrics.strata import Strata


def describe_test(strata: Strata) -> str:
    """The p value of a variable's test, or why there is none, and which images don't count."""
    notes = [strata.reason or "no test"]
    if strata.p is not None and strata.p_holm is not None:
        corrected = f" (uncorrected {format_p(strata.p)})" if strata.p != strata.p_holm else ""
        notes = [
            f"p = {format_p(strata.p_holm)}{corrected}, {format_count(strata.groups, 'group')}"
        ]
    if strata.left_out:
        images = format_count(strata.left_out, "image")
        notes.append(f"{images} left out of the test, labelled unlike most of their group")
    if strata.unlabelled:
        notes.append(f"{format_count(strata.unlabelled, 'image')} without a label")
    return "; ".join(notes)


def format_p(p: float) -> str:
    """Such as .032 or .0001: two significant digits, at least three decimals."""
    digits = 4 if p < 0.01 else 3
    return f"{p:.{digits}f}".removeprefix("0")
