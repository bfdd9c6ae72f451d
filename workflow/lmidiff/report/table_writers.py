"""The study's table as CSV, Markdown and LaTeX."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.evaluation.quantities import Quantity
from lmidiff.evaluation.statistics import LEVEL, SAMPLES
from lmidiff.evaluation.tables import NOT_OBTAINED, table_quantities
from lmidiff.images.similarity import DATA_RANGE, SSIM_SIGMA, SSIM_WINDOW
from lmidiff.report.summary import MISSING, UNDEFINED

NOT_RECORDED = "not recorded"
NOTED = "§"
_NUMBER = re.compile(r"(-?[\d.∞]+) (\[[^\]]*\](?: \(n=\d+\))?|\(n=1\))")
TEXT_COLUMNS = ["Source", "Method", "Training saw", "Tuned on"]
COSTS = ("training_seconds", "translation_seconds")
TEXTS = ("source", "target", "method", "label", "training", "tuned", "status")
ENDS = ("mean", "low", "high")
LAST_COLUMNS = ["Training [s]", "Translation [s/slice]", "Subjects", "Paper's value"]


def write_table1(
    table: pd.DataFrame, csv: str | Path, md: str | Path, tex: str | Path, note: str = ""
) -> None:
    """Write a frame of :func:`lmidiff.evaluation.tables.table1` in three forms.

    - ``csv``: tidy numbers, a row per source, method and quantity, columns ``mean, low, high, n``.
    - ``md``: a GitHub table, bold for the best.
    - ``tex``: a landscape table to ``\\input``; its first line names the packages it needs.

    In the last two the best mean of each column and source is bold among the zero-shot methods,
    ties at the printed precision together. Rows whose training saw the source carry a dagger, the
    ceiling a double dagger; neither competes. A combination without scores prints ``missing``.
    With a ``note`` (:func:`lmidiff.report.notes.note_of`) every source has a mark that leads to it.
    """
    write_text(csv, tidy(table).to_csv(index=False, lineterminator="\n"))
    write_text(md, _markdown(table, note))
    write_text(tex, _latex(table, note))


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    """The table in long form: six decimals, empty where there is no number."""
    rows, quantities = [], table_quantities(table)
    for _, row in table.iterrows():
        for quantity in quantities:
            mean, low, high = (float(row[f"{quantity.key}_{end}"]) for end in ENDS)
            paper = float(row[f"{quantity.key}_paper"])
            rows.append(
                {
                    **{name: row[name] for name in TEXTS},
                    "quantity": quantity.key,
                    "unit": quantity.unit,
                    "mean": _six(mean),
                    "low": _six(low),
                    "high": _six(high),
                    "n": int(row[f"{quantity.key}_n"]),
                    "expected": int(row["expected"]),
                    "trainings": int(row["trainings"]),
                    "paper": NOT_OBTAINED if pd.isna(paper) else f"{paper:g}",
                    "page": row[f"{quantity.key}_page"],
                    "difference": _six(mean - paper),
                    **{name: _six(row[name]) for name in COSTS},
                }
            )
    return pd.DataFrame(rows)


def _six(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.6f}"


def caption(table: pd.DataFrame, note: str = "") -> str:
    """Everything needed to read the numbers, as plain sentences; the ``note`` first."""
    measured = table.loc[table["status"] == "measured", "subjects"]
    low, high = (int(measured.min()), int(measured.max())) if len(measured) else (0, 0)
    count = f"{low}" if low == high else f"{low} to {high}"
    trainings = int(table["trainings"].max())
    drawn = f"{SAMPLES} resamples of subjects; n=1: no interval"
    interval = f"percentile bootstrap interval ({drawn})"
    network = (
        "Dice of a network: labels that a network published by others gives to the translation of "
        "the whole brain against those it gives to the true target, over the same heights. "
        if any(quantity.metric == "dice_net" for quantity in table_quantities(table))
        else ""
    )
    if trainings > 1:
        interval = (
            f"t interval over subjects and up to {trainings} trainings of each network (rows "
            f"without one: percentile bootstrap, {drawn})"
        )
    # A study's labels are tissues of the brain or clusters of the slice, and tissues have columns.
    of_slices = table["dice_kmeans_csf_n"].sum() == 0 and table["dice_kmeans_mean_n"].sum() > 0
    where, against, labels = (
        ("whole slices", "K-Means on the true target", "the dark, middle and bright cluster")
        if of_slices
        else (
            "the volume inside the brain mask",
            "K-Means on the true target or the data set's own tissue labels (truth)",
            "CSF, GM and WM",
        )
    )
    marked = f"{NOTED} {note.replace('`', '')} " if note else ""
    return (
        f"{marked}Translation to {table['target'].iloc[0]} and its K-Means segmentation. Mean over "
        f"n = {count} test subjects with {LEVEL:.0%} {interval}. SSIM: map of an {SSIM_WINDOW} x "
        f"{SSIM_WINDOW} Gaussian window, standard deviation {SSIM_SIGMA} px, per axial slice, "
        f"data_range = {DATA_RANGE:g}, averaged over all pixels (image) or the brain mask (brain). "
        "PSNR and MAE: pooled over the brain mask, intensities 0..1; ∞ is a perfect match. "
        f"Dice: pooled over {where}, against {against}; mean is over {labels}. {network}"
        "Bold: best zero-shot row of a source. † training saw the source modality, not zero-shot. "
        f"‡ ceiling, the true target itself. {UNDEFINED} not defined. "
        f"{MISSING}: no scores for this method and source; (n=...): fewer subjects have a number. "
        "Training and translation: wall time on the study's device, of the model (shared by rows) "
        "and of a slice with all its draws and its share of starting the job. "
        f"Paper's value: typed in from the paper, with its page and our mean minus it; "
        f"{NOT_OBTAINED}: nobody has."
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
    table: pd.DataFrame, escape: Callable[[str], str], bold: Callable[[str], str], note: str = ""
) -> list[list[str]]:
    """The printed body: a list of cells for every row, escaped and marked."""
    body, quantities = [], table_quantities(table)
    best = {quantity.key: best_rows(table, quantity) for quantity in quantities}
    for position, (_, row) in enumerate(table.iterrows()):
        mark = "\u00a0‡" if row["ceiling"] else "\u00a0†" if row["saw_source"] else ""
        source = f"{row['source']}\u00a0{NOTED}" if note else row["source"]
        texts = [source, row["label"] + mark, row["training"], row["tuned"]]
        cells = [escape(str(text)) for text in texts]
        for quantity in quantities:
            text = escape(_number(row, quantity))
            cells.append(bold(text) if position in best[quantity.key] else text)
        body.append([*cells, *map(escape, _last(row, quantities))])
    return body


def _last(row: pd.Series, quantities: tuple[Quantity, ...]) -> list[str]:
    """The cells after the scores: cost, subjects, the paper's values."""
    costs = [row[name] for name in COSTS]
    texts = [NOT_RECORDED if pd.isna(cost) else f"{cost:.3g}" for cost in costs]
    if costs[0] >= 100:
        texts[0] = f"{costs[0]:.0f}"
    part = row["subjects"] < row["expected"]
    count = f"{row['subjects']} of {row['expected']}" if part else str(row["subjects"])
    return [*texts, count, _paper(row, quantities) or NOT_OBTAINED]


def _paper(row: pd.Series, quantities: tuple[Quantity, ...]) -> str:
    texts = []
    for quantity in quantities:
        value, mean = float(row[f"{quantity.key}_paper"]), float(row[f"{quantity.key}_mean"])
        if pd.isna(value):
            continue
        text = f"{quantity.title}: {value:g} (p. {row[f'{quantity.key}_page']})"
        if not pd.isna(mean):
            text += f", here {mean - value:+.{quantity.digits}f}"
        texts.append(text)
    return "; ".join(texts)


def _number(row: pd.Series, quantity: Quantity) -> str:
    if row["status"] == "missing":
        return MISSING
    mean, low, high = (float(row[f"{quantity.key}_{end}"]) for end in ("mean", "low", "high"))
    if pd.isna(mean):
        return UNDEFINED

    def printed(value: float) -> str:
        return f"{value:.{quantity.digits}f}".replace("inf", "∞")

    count = int(row[f"{quantity.key}_n"])
    if count == 1:
        return f"{printed(mean)} (n=1)"
    fewer = f" (n={count})" if count < row["subjects"] else ""
    return f"{printed(mean)} [{printed(low)}, {printed(high)}]{fewer}"


def _titles(table: pd.DataFrame) -> list[str]:
    arrows = [f"{q.title} {'↑' if q.higher_is_better else '↓'}" for q in table_quantities(table)]
    return [*TEXT_COLUMNS, *arrows, *LAST_COLUMNS]


def _markdown(table: pd.DataFrame, note: str) -> str:
    def escape(text: str) -> str:
        return re.sub(r"([\\|*_<>])", r"\\\1", text.replace("\n", " "))

    cells = _cells(table, escape, lambda text: f"**{text}**", note)
    frame = pd.DataFrame(cells, columns=_titles(table))
    text = frame.to_markdown(index=False, disable_numparse=True)
    return f"{text}\n\n{escape(caption(table, note))}\n"


_TEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"∞": r"$\infty$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$"},
    **{
        "§": r"\S{}",
        "†": r"$\dagger$",
        "‡": r"$\ddagger$",
        "\u00a0": "~",
        "–": "--",
        "×": r"$\times$",
    },
    **{"<": r"$<$", ">": r"$>$", "±": r"$\pm$", "\n": " "},
    # A cell that starts with a bracket would be read as the argument of the row end before it.
    **{"[": "{[}", "]": "{]}"},
}


def _latex(table: pd.DataFrame, note: str) -> str:
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

    rows = _cells(table, cell, lambda text: rf"{{\bfseries {text}}}", note)
    titles = [
        stack(*map(escape, re.split(r"(?<=,) |(?<=vs) | (?=\[s)", title)))
        for title in _titles(table)
    ]
    text = r">{\raggedright\arraybackslash}p{%dmm}"
    numbers = "r" * len(table_quantities(table))
    columns = "l" + text % 32 + text % 17 + text % 20 + numbers + "rrr" + text % 24
    lines = [
        r"% needs \usepackage{array,booktabs,graphicx,lscape}",
        r"\begin{landscape}",
        r"\begin{table}[p]",
        rf"\caption{{{escape(caption(table, note))}}}",
        r"\centering",
        r"\setlength{\tabcolsep}{3pt}\renewcommand{\arraystretch}{1.15}",
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
