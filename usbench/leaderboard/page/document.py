"""Self-contained HTML pages, and Markdown: templates, styles, scripts and data.

It knows how text is kept from being read as markup, and nothing of what a page shows. A page sends
nothing and loads nothing from a network: its content security policy forbids it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from usbench.io.plain_text import escape_controls, escape_markdown
from usbench.results.format import format_interval, format_named, format_value, format_with_interval

FOLDER = Path(__file__).resolve().parent
ASSETS = FOLDER / "assets"


@cache
def templates() -> Environment:
    """The templates, with filters for scores and Markdown; HTML escapes every text it is given."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        auto_reload=False,  # templates stay as they are while pages are rendered
        finalize=show_plainly,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "score": format_value,
        "interval": format_interval,
        "with_interval": format_with_interval,
        "named": format_named,
        "cell": escape_markdown,
    }
    return environment


def render(template: str, **values: object) -> str:
    """A page. values: what the template shows."""
    return templates().get_template(template).render(values)


def show_plainly(value: object) -> object:
    """What a template prints for a value: text without control characters; markup of ours as is."""
    return escape_controls(value) if type(value) is str else value


@cache
def asset(name: str) -> str:
    """The text of a file below assets, such as page.css or vendor/d3.min.js."""
    return (ASSETS / name).read_text("utf-8")


def inline_asset(element: str, name: str) -> Markup:
    """A style or script for use inside its element; ValueError where its text would end it."""
    text = asset(name)
    if re.search(rf"</{element}", text, re.IGNORECASE):
        raise ValueError(f"{name}: expected no </{element} in it")
    return Markup(text)


def as_json(data: object) -> Markup:
    """Data as JSON that can't end the script element that it is in; one text per value.

    Raises:
        ValueError: a number isn't finite.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = escape_controls(text, escape="\\\\")  # a JSON string shows an escaped backslash
    return Markup(text.replace("<", "\\u003c"))
