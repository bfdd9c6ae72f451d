"""Pages of the report, each one file that asks nobody for anything: templates beside this file."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from lmidiff.common.files import write_text

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_html(template: str, path: str | Path, **values: Any) -> None:
    """Fill a template and write the page atomically.

    Args:
        template: its file name, ``sortable.html``.
        path: the HTML file.
        **values: what the template names; text is escaped.
    """
    write_text(path, TEMPLATES.get_template(template).render(**values))
