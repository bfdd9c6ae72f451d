"""Zero-shot translation of medical images: one's own scans, and the study's results."""

import os
import sys
from contextlib import suppress

from lmidiff.common.environment import own_backend
from lmidiff.common.errors import StudyError
from lmidiff.common.logs import set_up_logging, visible
from lmidiff.common.memory import NOT_ENOUGH, ran_out

INTERRUPTED = 130
"""Exit status after Ctrl-C, as a shell gives it."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a test's is no file
            stream.reconfigure(errors="backslashreplace")
    try:
        os.getcwd()
    except FileNotFoundError:
        return _fail("the current folder does not exist any more; change to one that does")
    try:
        _run(arguments)
        if sys.stdout is not None:  # closed, as by >&-
            sys.stdout.flush()
    except StudyError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; nothing is half written, and the same command starts again")
        return INTERRUPTED
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        return _fail(NOT_ENOUGH)
    except BrokenPipeError:
        _drop_output()
        return 1  # whoever read what was printed has gone
    except OSError as error:
        if error.filename is None:  # printing failed
            _drop_output()
        reason = error.strerror or str(error)
        return _fail(f"{error.filename or 'standard output'}: {reason}")
    return 0


def _run(arguments: list[str] | None) -> None:
    own_backend()
    # Imported here, where Ctrl-C is one line: it takes seconds.
    from lmidiff.cli import preprocess, segment, shipped, study, translate, view
    from lmidiff.cli.arguments import OneLine

    parser = OneLine(prog="lmidiff", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (translate, shipped, segment, preprocess, view, study):
        command.add(commands)
    given = parser.parse_args(arguments)
    set_up_logging()
    given.run(given)


def _fail(text: str) -> int:
    print(f"ERROR {visible(text)}", file=sys.stderr)
    return 1


def _drop_output() -> None:
    """Send what is still to be printed nowhere, or Python complains when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
