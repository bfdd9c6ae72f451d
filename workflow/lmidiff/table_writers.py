"""The study's table as CSV, Markdown, LaTeX and a self-contained HTML page."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from jinja2 import Environment

from lmidiff.files import write_text
from lmidiff.metrics import DATA_RANGE, SSIM_SIGMA, SSIM_WINDOW
from lmidiff.statistics import LEVEL, SAMPLES
from lmidiff.tables import QUANTITIES, Quantity

MISSING = "missing"
UNDEFINED = "–"
_NUMBER = re.compile(r"(-?[\d.∞]+) (\[.*\]|\(n=1\))")
TEXT_COLUMNS = ["Source", "Method", "Training saw", "Tuned on"]
LAST_COLUMNS = ["Subjects", "Paper's value"]


def write_table1(
    table: pd.DataFrame, csv: str | Path, md: str | Path, tex: str | Path, html: str | Path
) -> None:
    """Write a frame of :func:`lmidiff.tables.table1` in four forms.

    - ``csv``: tidy numbers, a row per source, method and quantity, columns ``mean, low, high, n``.
    - ``md``: a GitHub table, bold for the best.
    - ``tex``: a landscape table to ``\\input``; its first line names the packages it needs.
    - ``html``: one page that needs no other file.

    In the last three the best mean of each column and source is bold among the zero-shot methods,
    ties at the printed precision together. Rows whose training saw the source carry a dagger, the
    ceiling a double dagger; neither competes. A combination without scores prints ``missing``.
    """
    write_text(csv, tidy(table).to_csv(index=False, lineterminator="\n"))
    write_text(md, _markdown(table))
    write_text(tex, _latex(table))
    write_text(html, _html(table))


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    """The table in long form: six decimals, empty where there is no number."""
    rows = []
    for _, row in table.iterrows():
        for quantity in QUANTITIES:
            ends = [float(row[f"{quantity.key}_{end}"]) for end in ("mean", "low", "high")]
            rows.append(
                {
                    **{k: row[k] for k in ("source", "target", "method", "label")},
                    **{k: row[k] for k in ("training", "tuned", "status")},
                    "quantity": quantity.key,
                    "unit": quantity.unit,
                    **{
                        end: "" if pd.isna(value) else f"{value:.6f}"
                        for end, value in zip(("mean", "low", "high"), ends, strict=True)
                    },
                    "n": int(row[f"{quantity.key}_n"]),
                    "paper": row["paper"],
                }
            )
    return pd.DataFrame(rows)


def caption(table: pd.DataFrame) -> str:
    """Everything needed to read the numbers, as plain sentences."""
    measured = table.loc[table["status"] == "measured", "subjects"]
    low, high = (int(measured.min()), int(measured.max())) if len(measured) else (0, 0)
    count = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"Translation to {table['target'].iloc[0]} and its K-Means segmentation. Mean over "
        f"n = {count} test subjects with {LEVEL:.0%} percentile bootstrap interval "
        f"({SAMPLES} resamples of subjects; n=1: no interval). SSIM: map of an {SSIM_WINDOW} x "
        f"{SSIM_WINDOW} Gaussian window, standard deviation {SSIM_SIGMA} px, per axial slice, "
        f"data_range = {DATA_RANGE:g}, averaged over all pixels (image) or the brain mask (brain). "
        "PSNR and MAE: pooled over the brain mask, intensities 0..1; ∞ is a perfect match. "
        "Dice: pooled over the volume inside the brain mask, against K-Means on the true target "
        "or the data set's own tissue labels (truth); mean is over CSF, GM and WM. "
        "Bold: best zero-shot row of a source. † training saw the source modality, not zero-shot. "
        f"‡ ceiling, the true target itself. {UNDEFINED} not defined. "
        f"{MISSING}: no scores for this method and source."
    )


def best_rows(table: pd.DataFrame, quantity: Quantity) -> set[int]:
    """Positions of the rows to print bold: the best zero-shot mean within each source."""
    means = table[f"{quantity.key}_mean"].astype(float).round(quantity.digits)
    competing = ~table["saw_source"] & ~table["ceiling"] & means.notna()
    if not quantity.higher_is_better:
        means = -means
    best = means[competing].groupby(table["source"][competing]).transform("max")
    return {table.index.get_loc(i) for i in best.index[means[best.index] == best]}


def _cells(
    table: pd.DataFrame, escape: Callable[[str], str], bold: Callable[[str], str]
) -> list[list[str]]:
    """The printed body: a list of cells for every row, escaped and marked."""
    body = []
    best = {quantity.key: best_rows(table, quantity) for quantity in QUANTITIES}
    for position, (_, row) in enumerate(table.iterrows()):
        mark = "\u00a0‡" if row["ceiling"] else "\u00a0†" if row["saw_source"] else ""
        texts = [row["source"], row["label"] + mark, row["training"], row["tuned"]]
        cells = [escape(str(text)) for text in texts]
        for quantity in QUANTITIES:
            text = escape(_number(row, quantity))
            cells.append(bold(text) if position in best[quantity.key] else text)
        body.append([*cells, str(row["subjects"]), escape(row["paper"])])
    return body


def _number(row: pd.Series, quantity: Quantity) -> str:
    if row["status"] == "missing":
        return MISSING
    mean, low, high = (float(row[f"{quantity.key}_{end}"]) for end in ("mean", "low", "high"))
    if pd.isna(mean):
        return UNDEFINED

    def printed(value: float) -> str:
        return f"{value:.{quantity.digits}f}".replace("inf", "∞")

    if row[f"{quantity.key}_n"] == 1:
        return f"{printed(mean)} (n=1)"
    return f"{printed(mean)} [{printed(low)}, {printed(high)}]"


def _titles() -> list[str]:
    arrows = [f"{q.title} {'↑' if q.higher_is_better else '↓'}" for q in QUANTITIES]
    return [*TEXT_COLUMNS, *arrows, *LAST_COLUMNS]


def _markdown(table: pd.DataFrame) -> str:
    def escape(text: str) -> str:
        return re.sub(r"([\\|*_<>])", r"\\\1", text.replace("\n", " "))

    frame = pd.DataFrame(_cells(table, escape, lambda text: f"**{text}**"), columns=_titles())
    return f"{frame.to_markdown(index=False, disable_numparse=True)}\n\n{escape(caption(table))}\n"


_TEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"∞": r"$\infty$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$"},
    **{"†": r"$\dagger$", "‡": r"$\ddagger$", "\u00a0": "~", "–": "--", "×": r"$\times$"},
    **{"<": r"$<$", ">": r"$>$", "±": r"$\pm$", "\n": " "},
    # A cell that starts with a bracket would be read as the argument of the row end before it.
    **{"[": "{[}", "]": "{]}"},
}


def _latex(table: pd.DataFrame) -> str:
    def escape(text: str) -> str:
        return "".join(_TEX.get(character, character) for character in text)

    def stack(*lines: str) -> str:
        return r"\begin{tabular}[t]{@{}r@{}}" + r"\\".join(lines) + r"\end{tabular}"

    # Intervals go below their means: side by side, the table would shrink beyond reading.
    def cell(text: str) -> str:
        number = _NUMBER.fullmatch(text)
        if number is None:
            return escape(text)
        return stack(escape(number[1]), rf"{{\scriptsize {escape(number[2])}}}")

    rows = _cells(table, cell, lambda text: rf"{{\bfseries {text}}}")
    titles = [stack(*map(escape, re.split(r"(?<=,) |(?<=vs) ", title))) for title in _titles()]
    text = r">{\raggedright\arraybackslash}p{%dmm}"
    columns = "l" + text % 34 + text % 24 + text % 28 + "r" * len(QUANTITIES) + "r" + text % 22
    lines = [
        r"% needs \usepackage{array,booktabs,graphicx,lscape}",
        r"\begin{landscape}",
        r"\begin{table}[p]",
        rf"\caption{{{escape(caption(table))}}}",
        r"\centering",
        r"\setlength{\tabcolsep}{4pt}\renewcommand{\arraystretch}{1.15}",
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(titles) + r" \\",
    ]
    previous = None
    for source, cells in zip(table["source"], rows, strict=True):
        if source != previous:
            lines.append(r"\midrule")
        previous = source
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table}", r"\end{landscape}", ""]
    return "\n".join(lines)


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


def _html(table: pd.DataFrame) -> str:
    from markupsafe import Markup, escape

    def cell(text: str) -> Markup:
        number = _NUMBER.fullmatch(text)
        return Markup("{} <small>{}</small>").format(*number.groups()) if number else escape(text)

    rows = _cells(table, cell, lambda text: Markup("<strong>{}</strong>").format(text))
    apart = table["saw_source"] | table["ceiling"]
    groups: dict[str, list[dict]] = {}
    for source, cells, odd in zip(table["source"], rows, apart, strict=True):
        groups.setdefault(source, []).append({"cells": cells, "apart": bool(odd)})
    page = Environment(autoescape=True, keep_trailing_newline=True).from_string(_PAGE)
    return page.render(
        target=table["target"].iloc[0],
        caption=caption(table),
        titles=_titles(),
        groups=groups.items(),
        texts=len(TEXT_COLUMNS),
    )
