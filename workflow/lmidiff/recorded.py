"""Recorded runs: what of a finished study is kept in the repository, and what README says of it."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from lmidiff.errors import StudyError
from lmidiff.files import atomic_folder, sha256, write_text

KEPT = (
    "metrics.csv",
    "slices.csv",
    "table1.*",
    "figures/*",
    "extracts/*",
    "split.tsv",
    "cost/translate/*.tsv",
    "record/*",
    "tuning/*.csv",
    "models/*/curve.csv",
    "models/*/config.json",
    "models/kmeans/kmeans.json",
)
SUMS = "SHA256SUMS"
SHORT_COLUMNS = {
    "ssim_brain": "brain SSIM",
    "psnr_brain": "brain PSNR [dB]",
    "dice_kmeans_mean": "mean Dice vs K-Means",
    "dice_truth_mean": "mean Dice vs truth",
}


def record(folder: Path, reference: Path, *additions: Callable[[Path, Path], object]) -> Path:
    """Copy what is worth keeping of ``folder`` to ``reference/<study>``, with checksums.

    Args:
        folder: the finished study's.
        reference: where recorded runs lie.
        *additions: called with ``folder`` and the record's folder, to write more into the latter.

    Raises:
        StudyError: the study has not finished.
    """
    for needed in ("table1.csv", "record/provenance.json"):
        if not (folder / needed).is_file():
            raise StudyError(f"{folder / needed}: missing; finish the study before recording it")
    goal = reference / folder.name
    with atomic_folder(goal) as temporary:
        files = sorted({path for pattern in KEPT for path in folder.glob(pattern)})
        for path in files:
            copy = temporary / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        for add in additions:
            add(folder, temporary)
        kept = sorted(path for path in temporary.rglob("*") if path.is_file())
        lines = [f"{sha256(path)}  {path.relative_to(temporary)}\n" for path in kept]
        (temporary / SUMS).write_text("".join(lines))
    return goal


def check_record(folder: Path) -> None:
    """Raise StudyError unless every recorded file is there and as it was recorded."""
    for line in (folder / SUMS).read_text().splitlines():
        expected, name = line.split("  ", 1)
        path = folder / name
        if not path.is_file():
            raise StudyError(f"{path}: recorded, but missing; record the study again")
        if sha256(path) != expected:
            raise StudyError(f"{path}: differs from what was recorded; never edit it by hand")


def results_text(folder: Path) -> str:
    """The README's account of a recorded run, in Markdown; every number is read from its files."""
    if not folder.is_dir():
        return "No run of this study has been recorded yet.\n"
    table = read_table(folder)
    rows = short_rows(table)
    costs = pd.read_csv(folder / "record" / "cost.csv")
    stages = costs[costs["job"] == "all"]
    times = [
        {
            "stage": row.stage,
            "jobs": row.jobs,
            "wall time, summed over jobs [min]": f"{row.seconds / 60:.1f}",
            "largest memory of a job [MB]": f"{row.memory_mb:.0f}",
        }
        for row in stages.itertuples()
    ]
    subjects = int(table["n"].iloc[0])
    spread = "with a 95 % bootstrap interval" if subjects > 1 else "so without an interval"
    people = f"{subjects} test subject" + ("s" if subjects > 1 else "")
    return (
        f"{tabulate(rows, headers='keys', tablefmt='github', disable_numparse=True)}\n\n"
        f"Mean over {people}, {spread}. All columns: "
        f"[table1.md]({folder}/table1.md).\n\n"
        f"![Figure 2]({folder}/figures/figure2.png)\n\n"
        f"{tabulate(times, headers='keys', tablefmt='github', disable_numparse=True)}\n"
    )


def read_table(folder: Path) -> pd.DataFrame:
    """A study's table1.csv as text and numbers, "" where there is none.

    Raises:
        StudyError: the folder has no table.
    """
    path = folder / "table1.csv"
    if not path.is_file():
        raise StudyError(f"{path}: no such table; run the study first (make reproduce)")
    return pd.read_csv(path, keep_default_na=False)


def short_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """Table 1 with a few columns, a mapping of titles to text for each source and method."""
    rows = []
    for (source, label), group in table.groupby(["source", "label"], sort=False):
        cells = group.set_index("quantity")
        row = {"source": source, "method": label, "training saw": cells["training"].iloc[0]}
        row |= {
            title: interval(cells.loc[key, ["mean", "low", "high"]])
            for key, title in SHORT_COLUMNS.items()
        }
        rows.append(row)
    return rows


def fill(readme: Path, reference: Path) -> None:
    """Fill each ``<!-- results:STUDY -->`` block of the README from the recorded run."""
    write_text(readme, filled(readme.read_text(), reference))


def filled(text: str, reference: Path) -> str:
    """``text`` with its result blocks filled."""
    pattern = re.compile(r"(<!-- results:([\w-]+) -->\n).*?(<!-- /results -->)", re.DOTALL)
    return pattern.sub(lambda m: m[1] + results_text(reference / m[2]) + m[3], text)


def interval(cells: pd.Series) -> str:
    """A table cell from mean, low and high as text: "" is missing, one subject has no interval."""
    mean, low, high = (str(cell) for cell in cells)
    if not mean:
        return "missing"
    if mean == "inf":
        return "∞"
    return f"{float(mean):.3f}" + (f" [{float(low):.3f}, {float(high):.3f}]" if low else "")
