"""Table 1 as a self-contained HTML page."""

from collections.abc import Sequence

from jinja2 import Environment

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Table 1: translation to {{ target }}</title>
<style>
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; color: #111; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; text-align: left; padding-top: .8rem; max-width: 70rem; }
th, td { padding: .3rem .6rem; text-align: right; vertical-align: top; }
thead th { border-block: 2px solid #111; vertical-align: bottom; }
tbody { border-bottom: 1px solid #777; }
td small { display: block; white-space: nowrap; color: #444; }
td.text, th.text { text-align: left; }
td.missing { color: #8a3b00; font-style: italic; }
tr.apart { background: #f2f2f2; }
</style>
</head>
<body>
<div class="wide" tabindex="0" role="region" aria-label="Table 1">
<table>
<caption>{{ caption }}</caption>
<thead><tr>
{%- for title in titles %}
<th scope="col"{% if loop.index <= texts %} class="text"{% endif %}>{{ title }}</th>
{%- endfor %}
</tr></thead>
{%- for source, rows in groups %}
<tbody>
{%- for row in rows %}
<tr{% if row.apart %} class="apart"{% endif %}>
{%- if loop.first %}
<th scope="rowgroup" class="text" rowspan="{{ rows|length }}">{{ source }}</th>
{%- endif %}
<th scope="row" class="text">{{ row.cells[1] }}</th>
{%- for cell in row.cells[2:] %}
<td{% if cell == "missing" %} class="missing"{% elif loop.index <= 2 %} class="text"{% endif %}>
{{- cell }}</td>
{%- endfor %}
</tr>
{%- endfor %}
</tbody>
{%- endfor %}
</table>
</div>
</body>
</html>
"""


def page(
    target: str,
    caption: str,
    titles: Sequence[str],
    texts: int,
    rows: Sequence[tuple[str, list[str], bool]],
) -> str:
    """One HTML page that needs no other file.

    Args:
        target: the target modality, for the title.
        caption: as plain text.
        titles: of the columns; the first ``texts`` of them hold words.
        rows: a source, its cells (text, or Markup that is kept), and whether it does not compete.
    """
    groups: dict[str, list[dict]] = {}
    for source, cells, apart in rows:
        groups.setdefault(source, []).append({"cells": cells, "apart": apart})
    template = Environment(autoescape=True, keep_trailing_newline=True).from_string(_PAGE)
    return template.render(
        target=target, caption=caption, titles=titles, groups=groups.items(), texts=texts
    )
