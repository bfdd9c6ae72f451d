"""Options that commands share, and the types of what people type."""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn, TypeVar

from lmidiff.common.errors import StudyError
from lmidiff.common.logs import visible
from lmidiff.options import Sampling

Value = TypeVar("Value", int, float)

SAMPLING = asdict(Sampling(precision="auto"))

SEED = 1


def add_scan(parser: argparse.ArgumentParser, what: str) -> None:
    """The options of a command that takes raw scans."""
    parser.add_argument("scans", nargs="*", type=scan_name, metavar="SCAN", help=what)
    parser.add_argument("--source", type=scan_name, metavar="NIFTI", help="the same as SCAN")
    parser.add_argument(
        "--volume",
        type=whole(0, 10_000),
        metavar="N",
        help="of files that hold several volumes; the first is 0",
    )
    parser.add_argument(
        "--mask",
        type=file_path,
        metavar="NIFTI",
        help="brain mask on the grid of the one scan (default: found in each scan)",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """The options of a command that translates; None where :func:`lmidiff.cli.common.load` fills.

    None tells what was not asked for from what was, whose default may be the same.
    """
    parser.add_argument(
        "--weights",
        type=file_path,
        metavar="FILE",
        help="weights.safetensors of a trained model, its config.json beside it "
        "(results/<study>/models/<model>/)",
    )
    parser.add_argument(
        "--method",
        type=plain_name,
        metavar="NAME",
        help="how the model translates (default: as it was trained)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--steps",
        type=whole(1, 1000),
        help=f"of the sampler (default: {SAMPLING['steps']})",
    )
    parser.add_argument(
        "--draws",
        type=whole(1, 1000),
        help=f"their mean is the translation (default: {SAMPLING['draws']})",
    )
    parser.add_argument("--seed", type=whole(0, 2**63 - 1), help=f"of the noise (default: {SEED})")
    parser.add_argument(
        "--spacing",
        type=number(0.1, 50),
        metavar="MM",
        help="from slice to slice (default: the scan's own, from 1 mm to the model's pixel size)",
    )


def refuse_together(given: argparse.Namespace, options: tuple[str, ...], why: str) -> None:
    """Raise StudyError if an option is given that would have no effect.

    Args:
        given: what was parsed; None is what was not given.
        options: their names, without dashes.
        why: ends the message, such as "--translated takes the scan as it is".
    """
    found = [f"--{option}" for option in options if getattr(given, option) is not None]
    if found:
        raise StudyError(f"{', '.join(found)}: has no effect here, for {why}; leave it out")


def expanded(text: str) -> Path:
    """A path as a person types it, ``~`` included.

    Raises:
        StudyError: it is empty, or its ``~`` names nobody.
    """
    if not text.strip():
        raise StudyError("an empty name; a variable of the shell may not be set")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise StudyError(f"{text}: there is no such home folder") from error


def file_path(text: str) -> Path:
    """The type of an option that takes a file or folder."""
    try:
        return expanded(text)
    except StudyError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def scan_name(text: str) -> str:
    """The type of a scan, which may be a pattern or end in the number of a volume."""
    return str(file_path(text))


def plain_name(text: str) -> str:
    """The type of an option that takes a name."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty name")
    return text


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an option that takes a whole number from ``low`` to ``high``."""
    return _within(int, "a whole number", low, high, f"{low}..{high}")


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of an option that takes a number from ``low`` to ``high``."""
    return _within(float, "a number", low, high, f"{low:g}..{high:g}")


def _within(
    kind: Callable[[str], Value], what: str, low: Value, high: Value, shown: str
) -> Callable[[str], Value]:
    def read(text: str) -> Value:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from None
        if not low <= value <= high:  # not a number is in no range
            raise argparse.ArgumentTypeError(f"{text} is not in {shown}")
        return value

    return read


class OneLine(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the options, and end with status 2."""
        self.exit(2, f"ERROR {visible(message)}; see {self.prog} --help\n")
