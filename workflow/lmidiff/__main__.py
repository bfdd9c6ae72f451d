"""Zero-shot translation of medical images: one's own scans, and the study's results."""

import sys

from lmidiff.cli import preprocess, segment, shipped, study, translate, view
from lmidiff.cli.common import OneLine
from lmidiff.common.errors import StudyError
from lmidiff.common.logs import set_up_logging


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = OneLine(prog="lmidiff", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (translate, shipped, segment, preprocess, view, study):
        command.add(commands)
    given = parser.parse_args(arguments)
    set_up_logging()
    try:
        given.run(given)
    except StudyError as error:
        text = str(error).replace("\n", "\\n")  # a file's name may hold one
        print(f"ERROR {text}", file=sys.stderr)
        return 1
    except MemoryError:
        print(
            f"ERROR {given.command}: the memory is not enough; free some, or raise its limit "
            "(ulimit -v)",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
