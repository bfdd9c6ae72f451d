"""Tables a reader can sort: one HTML page each, with its own small script and no other file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment

from lmidiff.common.files import write_text
from lmidiff.evaluation.tables import QUANTITIES, values_by_subject

_NUMBER = re.compile(r"^([-−]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|∞))(?:\s*[\[(%].*)?$")

TITLES = {quantity.key: quantity.title for quantity in QUANTITIES}

LONG = 24
"""Columns with a text of more characters than these are kept wide."""

# The policy lets the page load nothing at all, from no one.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; color: #111; background: #fff; }
h1 { font-size: 1.2rem; }
p { max-width: 70rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; }
th.number, td.number { text-align: right; }
td.number { white-space: nowrap; }
.long { min-width: 17rem; }
thead th { border-block: 2px solid #111; vertical-align: bottom; padding: 0; }
tbody tr:nth-child(even) { background: #f5f5f5; }
button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0;
 padding: .3rem .6rem; cursor: pointer; text-align: inherit; width: 100%; }
button:hover, button:focus-visible { background: #e6eef5; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ note }} Click a column's title to sort by it.</p>
<div class="wide" tabindex="0" role="region" aria-label="{{ title }}">
<table>
<thead><tr>
{%- for name in names %}
<th scope="col" aria-sort="none"{% if numeric[loop.index0] %} class="number"{% endif %}>
<button type="button">{{ name }}</button></th>
{%- endfor %}
</tr></thead>
<tbody>
{%- for row in rows %}
<tr>
{%- for cell, key in row %}
<td{% if key is not none %} class="number" data-key="{{ key }}"
{%- elif long[loop.index0] %} class="long"{% endif %}>{{ cell }}</td>
{%- endfor %}
</tr>
{%- endfor %}
</tbody>
</table>
</div>
<script>
"use strict";
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => {
      const cell = row.cells[column];
      return cell.dataset.key === undefined ? cell.textContent : Number(cell.dataset.key);
    };
    const numeric = head.classList.contains("number");
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (!numeric) return x.localeCompare(y);
      // Cells without a number stay below, whichever way the others go.
      if (typeof x !== typeof y) return (typeof x === "string" ? 1 : -1) * (up ? 1 : -1);
      return typeof x === "string" ? x.localeCompare(y) : x === y ? 0 : x - y;
    };
    const rows = [...body.rows].sort((a, b) => up ? compare(a, b) : compare(b, a));
    body.append(...rows);
  }));
}
</script>
</body>
</html>
"""


def write_sortable(frame: pd.DataFrame, path: str | Path, *, title: str, note: str) -> None:
    """Write a frame as a page whose columns sort on click.

    A column sorts by number if each of its cells that are not empty starts with one, such as
    ``0.71 [0.68, 0.75]``, ``∞`` or ``8``; otherwise by text.

    Args:
        frame: printed as it is, ``nan`` and ``None`` as empty cells.
        path: the HTML file, written atomically.
        title: of the page.
        note: a sentence or two above the table.
    """
    names = [str(name) for name in frame.columns]
    texts = [["" if pd.isna(cell) else str(cell) for cell in row] for row in frame.to_numpy(object)]
    numeric = [_is_numeric([row[n] for row in texts]) for n in range(len(names))]
    long = [max((len(row[n]) for row in texts), default=0) > LONG for n in range(len(names))]
    rows = [
        [(cell, _key(cell) if numeric[n] else None) for n, cell in enumerate(row)] for row in texts
    ]
    page = Environment(autoescape=True, keep_trailing_newline=True).from_string(_PAGE)
    shown = {"names": names, "numeric": numeric, "long": long, "rows": rows}
    write_text(path, page.render(title=title, note=note, **shown))


def table1_frame(tidy: pd.DataFrame) -> pd.DataFrame:
    """Table 1 from its tidy CSV, a row a source and method, a column a quantity.

    Args:
        tidy: ``table1.csv`` read with ``keep_default_na=False``: ``source, label, training,
            quantity, mean, low, high``, texts or numbers; "" is missing.
    """
    rows = []
    for (source, label), group in tidy.groupby(["source", "label"], sort=False):
        row = {"source": source, "method": label, "training saw": group["training"].iloc[0]}
        for cell in group.itertuples():
            title = TITLES.get(cell.quantity, cell.quantity)
            row[title] = _interval(str(cell.mean), str(cell.low), str(cell.high))
        rows.append(row)
    return pd.DataFrame(rows)


def subjects_frame(metrics: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """The quantities of Table 1 for every subject, a row a source, method and subject.

    Args:
        metrics: volume-level frame of ``metrics.csv``.
        labels: method key -> printed name, in order.
    """
    rows = []
    for source in sorted(metrics["source"].unique()):
        for method, label in labels.items():
            own = metrics[(metrics["source"] == source) & (metrics["method"] == method)]
            values = {q.title: (values_by_subject(own, q), q.digits) for q in QUANTITIES}
            for subject in sorted(own["subject"].unique()):
                row = {"source": source, "method": label, "subject": subject}
                for title, (series, digits) in values.items():
                    value = series.get(subject, float("nan"))
                    row[title] = "" if pd.isna(value) else f"{value:.{digits}f}".replace("inf", "∞")
                rows.append(row)
    return pd.DataFrame(rows)


def verdicts_frame(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The verdicts in words, a row a claim; empty cells where it was not run.

    Args:
        verdicts: ``verdicts.csv`` read as text, "" where there is none.
    """
    rows = [
        {
            "claim": row["sentence"],
            "of": row["origin"],
            "verdict": row["verdict"],
            "difference": _interval(row["effect"], row["low"], row["high"]),
            "must exceed": _number(row["margin"]),
            "weakest against": row["against"] if row["effect"] else "",
            "source": row["source"],
            "quantity": TITLES.get(row["quantity"], row["quantity"]),
            "p for": _number(row["p_for_holm"]),
            "p against": _number(row["p_against_holm"]),
            "subjects": row["subjects"],
            "subjects to settle it": row["subjects_to_settle"],
            "note": row["note"],
        }
        for _, row in verdicts.iterrows()
    ]
    return pd.DataFrame(rows)


def _number(text: str) -> str:
    return f"{float(text):.3g}" if text else ""


def _interval(mean: str, low: str, high: str) -> str:
    if mean in ("", "nan"):
        return ""
    if mean == "inf":
        return "∞"
    text = f"{float(mean):.3f}"
    return text + (f" [{float(low):.3f}, {float(high):.3f}]" if low not in ("", "nan") else "")


def _is_numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(_NUMBER.match(cell) for cell in filled)


def _key(cell: str) -> str | None:
    found = _NUMBER.match(cell)
    if not found:
        return None
    return found[1].replace("−", "-").replace("∞", "Infinity")
