"""The commands for a study: look at it, keep it, fill the pages from what is kept.

What only a study needs is imported when it is asked for: translating a scan takes less.
"""

import argparse
import os
import shutil
import sys
import textwrap
from functools import partial
from pathlib import Path

from lmidiff.cli.arguments import file_path, whole
from lmidiff.common.files import write_text
from lmidiff.common.outputs import check_outputs
from lmidiff.records.recorded import SPARED

REFERENCE = Path("results/reference")
SHOWN = ("source", "histogram", "cr_regression", "oracle")
"""Rows of the study behind the shipped weights that its card shows."""

ARCHIVES = {"T1w": "IXI-T1.tar", "PDw": "IXI-PD.tar", "T2w": "IXI-T2.tar"}


def add(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    parser = commands.add_parser("show", help="print a finished study's table in the terminal")
    parser.add_argument("folder", type=file_path, help="the study's folder, e.g. results/default")
    parser.add_argument(
        "--plot", action="store_true", help="also a picture, in a terminal of 24-bit colours"
    )
    parser.set_defaults(run=show)
    parser = commands.add_parser("record", help="keep a finished study under results/reference")
    parser.add_argument("folder", type=file_path, help="the study's folder, e.g. results/default")
    parser.add_argument(
        "--weights",
        nargs="*",
        metavar="MODEL",
        help="models whose weights are kept (default: the smallest, 4 MB in all)",
    )
    parser.add_argument(
        "--without",
        nargs="*",
        default=[],
        choices=tuple(SPARED),
        metavar="PART",
        help="parts that are left out, with their figure or page: previews, pictures taken while "
        "training; samples, what unconditional models draw; figure1, what is drawn step by step; "
        "viewer, one person's volumes; figure2, training_cost, volumes, pictures that "
        "`make figures` draws again",
    )
    parser.set_defaults(run=record)
    parser = commands.add_parser("ship", help="put a study's regression into the package")
    parser.add_argument("folder", type=file_path, help="the study's folder, results/translator")
    parser.set_defaults(run=ship)
    parser = commands.add_parser(
        "readme", help="render README.md and docs/results from the recorded runs"
    )
    parser.set_defaults(run=readme)
    parser = commands.add_parser("costs", help="derive config/costs.csv from the recorded runs")
    parser.set_defaults(run=costs)
    parser = commands.add_parser("ixi-split", help="write IXI's split from its archives")
    for modality, archive in ARCHIVES.items():
        parser.add_argument(modality, type=file_path, help=archive)
    parser.add_argument("--seed", type=whole(0, 2**63 - 1), default=1)
    parser.add_argument("--out", type=file_path, default=Path("config/ixi_split.tsv"))
    parser.set_defaults(run=ixi_split)


def show(given: argparse.Namespace) -> None:
    """Print the summary of a study, and its picture if that is asked for."""
    if given.plot:
        print(_picture(given.folder))
    print(summary(given.folder))


def _picture(folder: Path) -> str:
    """Source, truth and the best rows from the first source, as far as the terminal is wide."""
    import pandas as pd

    from lmidiff.report.summary import read_table
    from lmidiff.report.terminal import plot

    if not sys.stdout.isatty() or os.environ.get("COLORTERM") not in ("truecolor", "24bit"):
        return (
            "No picture here: this is no terminal that says it shows 24-bit colours "
            f"(COLORTERM=truecolor); open {folder}/figures/figure2.png"
        )
    table = read_table(folder)
    rows = table[(table["quantity"] == "ssim_brain") & (table["source"] == table["source"].iloc[0])]
    rows = rows.assign(score=pd.to_numeric(rows["mean"], errors="coerce"))
    best = rows.sort_values("score", ascending=False).set_index("method")["label"]
    return plot(folder, best.to_dict(), shutil.get_terminal_size().columns)


def summary(folder: Path) -> str:
    """A short form of Table 1 in 100 columns, how the claims came out, and where everything is.

    Raises:
        StudyError: the folder has no table or no verdicts.
    """
    from tabulate import tabulate

    from lmidiff.report.summary import folds_text, narrow_rows, read_table
    from lmidiff.verdicts.text import (
        of_trainings,
        read_verdicts,
        verdict_counts,
        verdict_lines,
    )

    table, verdicts = read_table(folder), read_verdicts(folder)
    text = tabulate(narrow_rows(table), headers="keys", tablefmt="simple", disable_numparse=True)
    folds = f"{textwrap.fill(folds_text(folder), 100)}\n\n" if folds_text(folder) else ""
    # A record has them packed.
    scores = next(iter(sorted(folder.glob("metrics.csv*"))), folder / "metrics.csv")
    return (
        f"{text}\n\nMean and half of the 95 % interval over {table['n'].max()} test subjects, "
        f"{of_trainings(verdicts)}.\n\n{folds}{verdict_lines(verdicts)}\n"
        f"Claims: {verdict_counts(verdicts)}; in full in {folder}/report.md\n"
        f"Picture: {folder}/figures/figure2.png   Table: {folder}/table1.md\n"
        f"Scores: {scores}   Record: {folder}/record/"
    )


def record(given: argparse.Namespace) -> None:
    """Keep a finished study, with a description of what it came from."""
    from lmidiff.records import recorded
    from lmidiff.records.checkpoints import keep_weights
    from lmidiff.records.crate import add_crate

    weights = partial(keep_weights, models=given.weights)
    goal = recorded.record(given.folder, REFERENCE, weights, add_crate, without=given.without)
    print(f"recorded in {goal}")


def ship(given: argparse.Namespace) -> None:
    """Take over the weights, with a card whose scores are the study's."""
    from lmidiff.cli.common import DEFAULT_MODEL
    from lmidiff.models import shipped
    from lmidiff.report.summary import read_table, short_rows

    table = read_table(given.folder)
    rows = short_rows(table[table["method"].isin(SHOWN)])
    card = {
        "makes": table["target"].iloc[0],
        "training": "T1w of people of IXI (Hammersmith, 3 T, 2 mm, brain only), each slice in "
        "random contrasts; no image of any source. Brains are those of automatic labels (DLMUSE).",
        "tried on": [
            f"{table['n'].iloc[0]} people of another scanner; mean and 95 % interval:",
            *(
                f"{row['source']}, {row['method']}: SSIM {row['brain SSIM']}, mean Dice against "
                f"labels of the true image {row['mean Dice vs truth']}"
                for row in rows
            ),
        ],
        "not for": "diagnosis; large ventricles and, but for those bright on FLAIR, lesions may be "
        "painted over. Not children, "
        "not other organs.",
        "licence": "CC BY-SA 3.0, after IXI (brain-development.org); brain masks after labels "
        "under the licence of SBIA, University of Pennsylvania, whose text lies beside the weights",
        "made by": "config/translator.yaml (make weights)",
    }
    trained = given.folder / "models" / "cr_regression"
    print(shipped.ship(trained, DEFAULT_MODEL, card))


def readme(_: argparse.Namespace) -> None:
    """Render the pages, and say which are new."""
    from lmidiff.report.prose import write_pages

    for page in write_pages(Path(), REFERENCE):
        print(page)


def costs(_: argparse.Namespace) -> None:
    """Write what the recorded runs cost, for requests of a cluster."""
    from lmidiff.study.rates import derive_costs

    write_text("config/costs.csv", derive_costs(REFERENCE).to_csv(index=False))


def ixi_split(given: argparse.Namespace) -> None:
    """Split the people of IXI's archives."""
    from lmidiff.data.ixi import write_split_of

    archives = {modality: getattr(given, modality) for modality in ARCHIVES}
    check_outputs([given.out], archives.values())
    print(write_split_of(archives, given.out, given.seed))
