"""The quality page: every raw subject's judgement, and the pictures, in one HTML file."""

import base64
import os
from collections.abc import Sequence
from pathlib import Path

import jinja2
import pandas as pd

from lmidiff.common.files import write_text

EMBEDDED = 40
"""Pictures of up to this many subjects are put into the page; beyond, only flagged ones are."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Preprocessing</title><style>
body { font: 14px/1.4 sans-serif; margin: 1.5em; max-width: 75em }
table { border-collapse: collapse } td, th { padding: .15em .6em; text-align: right }
th { border-bottom: 1px solid #888 } td.text, th.text { text-align: left }
tr.flagged td { background: #fff1d6 } img { max-width: 100% }
</style></head><body>
<h1>Preprocessing of raw scans</h1>
<p>{{ subjects }} subjects, {{ flagged|length }} flagged{% if excluded %}, left out by
<code>data.exclude</code>: {{ excluded|join(", ") }}{% endif %}.</p>
{% if flagged %}<p>Look at the flagged subjects below. To leave them all out:
<code>data: {exclude: [{{ (excluded + flagged)|join(", ") }}]}</code></p>{% endif %}
<table><tr>{% for name in columns %}
<th{% if name in texts %} class="text"{% endif %}>{{ name }}</th>
{% endfor %}</tr>
{% for row in rows %}<tr{% if row["flags"] %} class="flagged"{% endif %}>
{% for name in columns %}<td{% if name in texts %} class="text"{% endif %}>{{ row[name] }}</td>
{% endfor %}</tr>
{% endfor %}</table>
{% for name, link, embedded in pictures %}<h2><a href="{{ link }}">{{ name }}</a></h2>
{% if embedded %}<img alt="{{ name }}" src="data:image/png;base64,{{ embedded }}">{% endif %}
{% endfor %}</body></html>
"""

_TEXTS = ("subject", "modality", "reference", "flags", "file")


def write_page(
    table: pd.DataFrame, pictures: Sequence[str | Path], excluded: Sequence[str], path: str | Path
) -> None:
    """Write the page.

    Args:
        table: see :func:`lmidiff.data.quality.collect_quality`.
        pictures: one a subject, named ``sub-XX_...``, in the order of the table.
        excluded: subjects that the config leaves out.
        path: the HTML file; links to pictures are relative to it.
    """
    shown = table.drop(columns="file", errors="ignore")
    flagged = list(dict.fromkeys(table.loc[table["flags"] != "", "subject"]))
    few = len(pictures) <= EMBEDDED
    entries = []
    # Flagged subjects first.
    for picture in sorted(pictures, key=lambda p: (_subject(p) not in flagged, str(p))):
        name = _subject(picture)
        link = os.path.relpath(picture, Path(path).parent)
        show = few or name in flagged
        content = base64.b64encode(Path(picture).read_bytes()).decode() if show else ""
        entries.append((name, link, content))
    rows = [{k: _cell(v) for k, v in row.items()} for row in shown.to_dict("records")]
    page = jinja2.Environment(autoescape=True).from_string(_PAGE)
    text = page.render(
        subjects=table["subject"].nunique(),
        flagged=flagged,
        excluded=list(excluded),
        columns=list(shown.columns),
        texts=_TEXTS,
        rows=rows,
        pictures=entries,
    )
    write_text(path, text)


def _subject(picture: str | Path) -> str:
    return Path(picture).name.split("_")[0]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return "" if value is None else str(value)
