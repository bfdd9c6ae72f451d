"""Numbers in prose: README and docs take theirs from recorded files, never from a keyboard.

Blocks, each an HTML comment that Markdown does not show, refilled by ``python -m lmidiff readme``::

    <!-- verdicts:STUDY --> ... <!-- /verdicts -->    the verdicts of a recorded study, in words
    <!-- results:STUDY -->  ... <!-- /results -->     its verdicts, table, figure and cost
    <!-- numbers:FILE [columns=a,b] [where=col:value,...] [digits=N] --> ... <!-- /numbers -->
                                                      a recorded CSV as a table
    <!-- number:FILE column=a where=col:value,... [divide=N] [digits=N] -->...<!-- /number -->
                                                      one of its numbers, inside a sentence

``FILE`` is relative to ``results/reference``. What has not been recorded prints "not run".
"""

import re
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text
from lmidiff.report.recorded_text import results_text, verdicts_text

PAGES = ("README.md", "CONTRIBUTING.md", "config/README.md", "docs/*.md")
NOT_RUN = "not run"
KINDS = ("verdicts", "results", "numbers", "number")
OPTIONS = {"numbers": {"columns", "where", "digits"}}
OPTIONS["number"] = {"column", "where", "divide", "digits"}
# The back reference makes an opening end only at its own kind's closing.
BLOCK = re.compile(
    r"<!-- (?P<kind>verdicts|results|numbers|number):(?P<name>\S+)(?P<options>(?: \S+=\S+)*) -->"
    r"(?P<body>.*?)<!-- /(?P=kind) -->",
    re.DOTALL,
)
_MARK = re.compile(r"<!-- /?(?:verdicts|results|numbers|number)\b.*?-->", re.DOTALL)


def pages(root: Path) -> list[Path]:
    """The pages of the project whose numbers are filled and checked."""
    return sorted(path for pattern in PAGES for path in root.glob(pattern))


def fill(root: Path, reference: Path) -> None:
    """Fill the blocks of every page from the recorded runs."""
    for page in pages(root):
        text = page.read_text()
        new = filled(text, reference, str(page))
        if new != text:
            write_text(page, new)


def filled(text: str, reference: Path, where: str = "README.md") -> str:
    """``text`` with its blocks filled.

    Raises:
        StudyError: a block is not closed, or asks a recorded file for what it does not have.
    """
    marks = len(_MARK.findall(text))
    if marks != 2 * len(BLOCK.findall(text)):
        raise StudyError(f"{where}: a generated block is not closed or has an unknown form")

    def content(match: re.Match[str]) -> str:
        kind, name, given = match["kind"], match["name"], match["options"]
        opening = f"<!-- {kind}:{name}{given} -->"
        asked = f"{where}: {opening}"
        if kind in ("results", "verdicts"):
            write = results_text if kind == "results" else verdicts_text
            body = f"\n{write(reference / name)}"
        else:
            options = _options(kind, given, asked)
            cells = _cells(reference / name, options, asked)
            body = _number(cells, options, asked) if kind == "number" else _table(cells, options)
        return f"{opening}{body}<!-- /{kind} -->"

    return BLOCK.sub(content, text)


def without_blocks(text: str) -> str:
    """``text`` without its generated blocks: what somebody typed. Lines keep their numbers."""
    return BLOCK.sub(lambda match: "\n" * match[0].count("\n"), text)


def _options(kind: str, given: str, asked: str) -> dict[str, str]:
    options = dict(part.split("=", 1) for part in given.split())
    unknown = sorted(set(options) - OPTIONS[kind])
    if unknown:
        raise StudyError(f"{asked}: unknown option {unknown[0]}")
    return options


def _cells(path: Path, options: dict[str, str], asked: str) -> pd.DataFrame | None:
    """The rows and columns asked for, as text; ``None`` where nothing is recorded."""
    if not path.is_file():
        return None
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    conditions = [part.split(":", 1) for part in options.get("where", "").split(",") if part]
    wanted = options.get("columns", options.get("column"))
    columns = wanted.split(",") if wanted else list(frame.columns)
    for name in [*columns, *(condition[0] for condition in conditions)]:
        if name not in frame:
            raise StudyError(f"{asked}: {path} has no column {name}")
    for name, value in conditions:
        frame = frame[frame[name] == value]
    return frame[columns]


def _table(cells: pd.DataFrame | None, options: dict[str, str]) -> str:
    if cells is None or cells.empty:
        return f"\n{NOT_RUN.capitalize()}.\n"
    shown = cells.map(lambda cell: _rounded(cell, options)) if "digits" in options else cells
    text = tabulate(
        shown, headers="keys", tablefmt="github", disable_numparse=True, showindex=False
    )
    return f"\n{text}\n"


def _number(cells: pd.DataFrame | None, options: dict[str, str], asked: str) -> str:
    if cells is None:
        return NOT_RUN
    if cells.shape != (1, 1):
        raise StudyError(f"{asked}: names {len(cells)} rows and {cells.shape[1]} columns, not one")
    text = _rounded(cells.iloc[0, 0], options)
    return text or NOT_RUN


def _rounded(cell: str, options: dict[str, str]) -> str:
    try:
        value = float(cell) / float(options.get("divide", "1"))
    except ValueError:
        return cell
    digits = options.get("digits")
    # A count stays a count.
    if digits is None or ("divide" not in options and re.fullmatch(r"-?\d+", cell)):
        return cell if "divide" not in options else f"{value:g}"
    return f"{value:.{digits}f}"
