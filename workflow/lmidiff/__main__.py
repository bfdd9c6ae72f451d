"""The command line of the study: look at results, record them, work on one's own scans."""

import sys
from functools import partial
from pathlib import Path

from tabulate import tabulate

from lmidiff.benchmarks.measured_costs import derive_costs, with_overhead
from lmidiff.cli import preprocess, segment, translate, view
from lmidiff.cli.common import OneLine, whole
from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text
from lmidiff.common.logs import set_up_logging
from lmidiff.common.outputs import check_outputs
from lmidiff.data.ixi import SUFFIXES, write_split_of
from lmidiff.records.checkpoints import keep_weights
from lmidiff.records.crate import add_crate
from lmidiff.records.recorded import record
from lmidiff.report.prose import fill
from lmidiff.report.summary import read_table, short_rows
from lmidiff.verdicts.text import read_verdicts, verdict_sentences

REFERENCE = Path("results/reference")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = OneLine(prog="python -m lmidiff", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print a finished study's table in the terminal")
    show.add_argument("folder", type=Path, help="the study's folder, e.g. results/default")
    keep = commands.add_parser("record", help="keep a finished study under results/reference")
    keep.add_argument("folder", type=Path, help="the study's folder, e.g. results/default")
    keep.add_argument(
        "--weights",
        nargs="*",
        metavar="MODEL",
        help="models whose weights are kept (default: the smallest, 4 MB in all)",
    )
    commands.add_parser("readme", help="fill README.md and docs from the recorded runs")
    commands.add_parser("costs", help="derive config/costs.csv and docs/cluster.md's table")
    for command in (translate, segment, preprocess, view):
        command.add(commands)
    split = commands.add_parser("ixi-split", help="write IXI's split from its archives")
    for modality, suffix in SUFFIXES.items():
        split.add_argument(modality, type=Path, help=f"IXI-{suffix}.tar")
    split.add_argument("--seed", type=whole(0, 2**63 - 1), default=1)
    split.add_argument("--out", type=Path, default=Path("config/ixi_split.tsv"))
    given = parser.parse_args(arguments)
    try:
        if "run" in given:
            set_up_logging()
            given.run(given)
        elif given.command == "show":
            print(summary(given.folder))
        elif given.command == "record":
            weights = partial(keep_weights, models=given.weights)
            print(f"recorded in {record(given.folder, REFERENCE, weights, add_crate)}")
        elif given.command == "ixi-split":
            archives = {modality: getattr(given, modality) for modality in SUFFIXES}
            check_outputs([given.out], archives.values())
            print(write_split_of(archives, given.out, given.seed))
        elif given.command == "costs":
            write_text("config/costs.csv", derive_costs(REFERENCE).to_csv(index=False))
            guide = Path("docs/cluster.md")
            write_text(guide, with_overhead(guide.read_text(), REFERENCE))
        else:
            fill(Path(), REFERENCE)
    except StudyError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    return 0


def summary(folder: Path) -> str:
    """The verdicts, a short form of Table 1 with 95 % intervals, and where everything is.

    Raises:
        StudyError: the folder has no table or no verdicts.
    """
    table, verdicts = read_table(folder), verdict_sentences(read_verdicts(folder))
    text = tabulate(short_rows(table), headers="keys", tablefmt="simple", disable_numparse=True)
    return (
        f"{text}\n\n{verdicts}\nMean [95 % interval over {table['n'].iloc[0]} test subjects]. "
        f"All columns: {folder}/table1.md\n"
        f"Figures: {folder}/figures/   Scores: {folder}/metrics.csv   Record: {folder}/record/"
    )


if __name__ == "__main__":
    sys.exit(main())
