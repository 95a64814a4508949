"""Text that anybody may have written, as LaTeX shows it."""

from __future__ import annotations

import re

from usbench.io.plain_text import escape_controls

# Braces stay balanced, as BibTeX counts them whatever stands before. Letters with accents need
# nothing: LaTeX reads UTF-8.
ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",  # \textquotedbl needs the font encoding T1
    "−": "$-$",
    "–": "--",
    "—": "---",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "Δ": r"$\Delta$",
    "δ": r"$\delta$",
    "µ": r"$\mu$",
    "²": r"$^2$",
    "°": r"$^\circ$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$\dagger$",
    "…": r"\ldots{}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "\u00a0": "~",
}
SPECIAL = re.compile("|".join(map(re.escape, ESCAPES)))


def escape_latex(text: str) -> str:
    """Text for one line of LaTeX or one field of BibTeX: nothing in it is a command."""
    line = escape_controls(" ".join(text.split()))
    return SPECIAL.sub(lambda match: ESCAPES[match[0]], line)
