"""One self-contained HTML file: a template with its styles, scripts and data put into it.

Knows how text is kept from being read as HTML, and nothing of what a page says. A page loads nothing and sends nothing:
its content security policy forbids it.
"""

from __future__ import annotations

import html
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).resolve().parent / "assets"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
{styles}
</head>
<body>
{body}
{data}
{scripts}
</body>
</html>
"""


@cache
def asset(name: str) -> str:
    """The text of a file below assets, such as page.css or vendor/d3.min.js."""
    return (ASSETS / name).read_text("utf-8")


def escaped(text: str) -> str:
    """Text as HTML that shows just that text, inside an element or a quoted attribute."""
    return html.escape(text)


def as_json(data: object) -> str:
    """Data as JSON that can't end the script element it stands in; the same data give the same text.

    Raises ValueError for a number that isn't finite.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _inside(kind: str, name: str) -> str:
    """A style or script of ours or of a library; ValueError where its text would end its element."""
    text = asset(name)
    if re.search(rf"</{kind}", text, re.IGNORECASE):
        raise ValueError(f"{name}: no </{kind} was wanted in it")
    return f"<{kind}>\n{text}\n</{kind}>"


def document(
    title: str, body: str, data: Any, styles: tuple[str, ...], scripts: tuple[str, ...]
) -> bytes:
    """The file. title: text; body: HTML; data: what the scripts find in the element `data`; styles, scripts: assets in
    their order."""
    return FRAME.format(
        policy=POLICY,
        title=escaped(title),
        styles="\n".join(_inside("style", name) for name in styles),
        body=body.strip(),
        data=f'<script type="application/json" id="data">{as_json(data)}</script>',
        scripts="\n".join(_inside("script", name) for name in scripts),
    ).encode()
