"""Any text as LaTeX: no character of it is a command."""

from __future__ import annotations

import pytest

from usbench.io.latex import escape_latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("U-Net", "U-Net"),
        ("50 % & more", r"50 \% \& more"),
        ("a_b#1 $x^2$", r"a\_b\#1 \$x\textasciicircum{}2\$"),
        ("{a}", r"\textbraceleft{}a\textbraceright{}"),
        (r"\input{x}", r"\textbackslash{}input\textbraceleft{}x\textbraceright{}"),
        ("~ < >", r"\textasciitilde{} $<$ $>$"),
        ("−.05 – 1–3 ≥ 2", "$-$.05 -- 1--3 $\\geq$ 2"),
        ("Gómez-Flores", "Gómez-Flores"),
        ("two\nlines\t x", "two lines x"),
        ("\x1b[31m", r"\textbackslash{}x1b[31m"),
    ],
)
def test_escapes(text, latex):
    assert escape_latex(text) == latex


def test_braces_stay_balanced():
    latex = escape_latex("}{ \\} {\\ {{{")
    assert latex.count("{") == latex.count("}")
