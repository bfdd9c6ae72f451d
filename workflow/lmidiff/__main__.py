"""The command line of the study: look at results, record them."""

import argparse
import sys
from pathlib import Path

from tabulate import tabulate

from lmidiff.checkpoints import keep_weights
from lmidiff.crate import add_crate
from lmidiff.errors import StudyError
from lmidiff.recorded import fill, read_table, record, short_rows

REFERENCE = Path("results/reference")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lmidiff", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print a finished study's table in the terminal")
    show.add_argument("folder", type=Path, help="the study's folder, e.g. results/default")
    keep = commands.add_parser("record", help="keep a finished study under results/reference")
    keep.add_argument("folder", type=Path, help="the study's folder, e.g. results/default")
    commands.add_parser("readme", help="fill README.md from the recorded runs")
    given = parser.parse_args(arguments)
    try:
        if given.command == "show":
            print(summary(given.folder))
        elif given.command == "record":
            print(f"recorded in {record(given.folder, REFERENCE, keep_weights, add_crate)}")
        else:
            fill(Path("README.md"), REFERENCE)
    except StudyError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    return 0


def summary(folder: Path) -> str:
    """A short form of Table 1 with 95 % intervals, and where everything is.

    Raises:
        StudyError: the folder has no table.
    """
    table = read_table(folder)
    text = tabulate(short_rows(table), headers="keys", tablefmt="simple", disable_numparse=True)
    return (
        f"{text}\n\nMean [95 % interval over {table['n'].iloc[0]} test subjects]. "
        f"All columns: {folder}/table1.md\n"
        f"Figures: {folder}/figures/   Scores: {folder}/metrics.csv   Record: {folder}/record/"
    )


if __name__ == "__main__":
    sys.exit(main())
