"""A finished study in short: its scores and its cost as text, read from its files."""

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import yaml
from tabulate import tabulate

from lmidiff.common.errors import StudyError

NARROW_COLUMNS = {
    "ssim_brain": "SSIM",
    "psnr_brain": "PSNR dB",
    "dice_kmeans_mean": "Dice",
}
SHORT_COLUMNS = {
    "ssim_brain": "brain SSIM",
    "psnr_brain": "brain PSNR [dB]",
    "dice_kmeans_mean": "mean Dice vs K-Means",
    "dice_truth_mean": "mean Dice vs truth",
}


COLUMNS = (
    *("source", "method", "label", "training", "status", "quantity"),
    *("mean", "low", "high", "n"),
)
MISSING = "missing"
"""Printed of a row without scores."""
UNDEFINED = "–"
"""Printed of a number that cannot be, as of labels that nobody gave."""


def read_table(folder: Path) -> pd.DataFrame:
    """A study's table1.csv as text and numbers, "" where there is none.

    Raises:
        StudyError: the folder has no table.
    """
    path = folder / "table1.csv"
    if not path.is_file():
        raise StudyError(f"{path}: no such table; run the study first (make reproduce)")
    try:
        table = pd.read_csv(path, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise StudyError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    missing = [name for name in COLUMNS if name not in table]
    if missing or table.empty:
        what = f"has no column {missing[0]}" if missing else "has no row"
        raise StudyError(f"{path}: is no table of a study: it {what}")
    return table


def short_rows(
    table: pd.DataFrame, titles: Mapping[str, str] = SHORT_COLUMNS, missing: str = MISSING
) -> list[dict[str, str]]:
    """Table 1 with a few columns, a mapping of titles to text for each source and method.

    Args:
        table: ``table1.csv``, "" where there is no number.
        titles: quantity to the title of its column.
        missing: printed of a row without scores; "" then is of a number that cannot be, too.
    """
    rows = []
    for (source, label), group in table.groupby(["source", "label"], sort=False):
        cells = group.set_index("quantity")
        row = {"source": source, "method": label, "training saw": cells["training"].iloc[0]}
        blank = missing if cells["status"].iloc[0] == MISSING else missing and UNDEFINED
        row |= {
            title: interval(cells.loc[key, ["mean", "low", "high"]], blank)
            for key, title in titles.items()
        }
        rows.append(row)
    return rows


def narrow_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """Table 1 for a terminal of 100 columns: a mapping of titles to text for each row."""
    rows = []
    for (source, label), group in table.groupby(["source", "label"], sort=False):
        cells = group.set_index("quantity")
        row = {"source": source, "method": textwrap.shorten(str(label), 40, placeholder="...")}
        for key, title in NARROW_COLUMNS.items():
            if key not in cells.index:
                raise StudyError(f"table1.csv: {source}, {label} has no {key}")
            mean, low, high = (str(cell) for cell in cells.loc[key, ["mean", "low", "high"]])
            digits = 1 if key.startswith("psnr") else 3
            if not mean or mean == "inf":
                nothing = MISSING if cells["status"].iloc[0] == MISSING else UNDEFINED
                row[title] = "∞" if mean else nothing
                continue
            half = f" ±{(float(high) - float(low)) / 2:.{digits}f}" if low else ""
            row[title] = f"{float(mean):.{digits}f}{half}"
        rows.append(row)
    return rows


def interval(cells: Iterable[object], missing: str = MISSING) -> str:
    """A table cell from mean, low and high as text: "" is missing, one subject has no interval."""
    mean, low, high = (str(cell) for cell in cells)
    if not mean:
        return missing
    if mean == "inf":
        return "∞"
    return f"{float(mean):.3f}" + (f" [{float(low):.3f}, {float(high):.3f}]" if low else "")


def scores_text(table: pd.DataFrame) -> str:
    """The short table in Markdown."""
    return tabulate(short_rows(table), headers="keys", tablefmt="github", disable_numparse=True)


def spread_text(table: pd.DataFrame) -> str:
    """Over how many subjects and trainings the table's means are."""
    subjects = int(table["n"].max())
    trainings = int(table["trainings"].max())
    over = f" and up to {trainings} trainings of each network" if trainings > 1 else ""
    kind = (
        "t interval (rows that train nothing: bootstrap)" if trainings > 1 else "bootstrap interval"
    )
    spread = f"with a 95 % {kind}" if subjects > 1 else "so without an interval"
    return f"Mean over {subjects} test subject{'s' if subjects > 1 else ''}{over}, {spread}."


def folds_text(folder: Path) -> str:
    """That people were tested in turn, by whom; "" where the study had no folds.

    Args:
        folder: with ``record/config.yaml``.

    Raises:
        StudyError: the folder has no record of its config.
    """
    path = folder / "record" / "config.yaml"
    if not path.is_file():
        raise StudyError(f"{path}: no such file; run the study first (make reproduce)")
    folds = yaml.safe_load(path.read_text()).get("folds", 1)
    if folds == 1:
        return ""
    return (
        f"People were tested in turn, in {folds} folds: each once, by networks, settings and a "
        "segmenter made from other people. Networks of different folds share most of those."
    )


def cost_text(folder: Path) -> str:
    """What each stage cost, in Markdown.

    Raises:
        StudyError: the folder has no record of it.
    """
    path = folder / "record" / "cost.csv"
    if not path.is_file():
        raise StudyError(f"{path}: no such file; run the study first (make reproduce)")
    costs = pd.read_csv(path)
    rows = [
        {
            "stage": row.stage,
            "jobs": row.jobs,
            "wall time, summed over jobs [min]": f"{row.seconds / 60:.1f}",
            "largest memory of a job [MB]": f"{row.memory_mb:.0f}",
        }
        for row in costs[costs["job"] == "all"].itertuples()
    ]
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


def holes_text(table: pd.DataFrame) -> list[str]:
    """What a table lacks, a sentence each: one that was read, or is about to be written."""
    found = []
    for (source, label), rows in table.groupby(["source", "label"], sort=False):
        if (rows["status"] == MISSING).all():
            found.append(f"{label} from {source}: no scores")
            continue
        counts = rows["n"].astype(int)
        expected = rows["expected"].astype(int) if "expected" in rows else counts
        for _, cell in rows[(counts < expected) & (counts > 0)].iterrows():
            what = f"{cell['n']} of {cell['expected']} subjects"
            found.append(f"{label} from {source}: {cell['quantity']} of {what}")
    return found
