"""The page of a recorded run: ``docs/results/<study>.md``, every number read from its files."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lmidiff.report.notes import note_of, recipe_of
from lmidiff.report.summary import (
    cost_text,
    folds_text,
    read_table,
    scores_text,
    spread_text,
)
from lmidiff.verdicts.rule import NOT_RUN
from lmidiff.verdicts.text import legend, people_text, read_verdicts, verdict_table

CAPTIONS = Path("workflow", "report")
"""What the figures show, relative to the top of the project."""

UP = Path("..", "..")
"""From the page to the top of the project."""


EARLIER = (
    "Recorded by earlier code: rows, how they are tuned and, where people are simulated, the "
    "simulator have changed since (CHANGELOG.md). Its scores cannot be compared with those of "
    "other pages."
)
"""Of a record whose config is older than the key ``folds``."""


def records(reference: Path) -> list[Path]:
    """The folders of recorded studies, by name."""
    return sorted(path.parent for path in reference.glob("*/table1.csv"))


def results_page(folder: Path) -> str:
    """A recorded run in Markdown: verdicts, table, figures, cost, provenance.

    Args:
        folder: ``results/reference/<study>``, relative to the top of the project.
    """
    table, verdicts = read_table(folder), read_verdicts(folder)
    there, folds = UP / folder, folds_text(folder)
    parts = [
        f"# Study `{folder.name}`, as recorded\n",
        "Made from the record by `lmidiff readme`; do not edit.\n",
        *_note(folder),
        "## Verdicts\n",
        *([f"{folds}\n"] if folds else []),
        *(_of_a_case(there) if table["n"].max() == 1 else _verdicts(verdicts)),
        "The rule: [verdicts.md](../verdicts.md).\n",
        "## Table\n",
        f"{scores_text(table)}\n",
        f"{spread_text(table)} All columns: [table1.md]({there}/table1.md).\n",
        "## Figures\n",
        *_shown(folder, there),
        f"The others, and all of them as PDF: `make figures RECORD={folder}`.\n",
        "## Cost\n",
        f"{cost_text(folder)}\n",
        *_taken_over(folder),
        "## Provenance\n",
        _provenance(folder),
    ]
    return "\n".join(parts)


def _verdicts(verdicts: pd.DataFrame) -> list[str]:
    run = verdicts[verdicts["verdict"] != NOT_RUN]
    said = [people_text(run)] if len(run) else []
    said.append(f"{verdict_table(verdicts)}\n{legend(verdicts)}")
    if left := len(verdicts) - len(run):
        said.append(f"Not run: {left} claims, on rows or sources that this study does not have.\n")
    return said


def _of_a_case(there: Path) -> list[str]:
    return [
        "A case: one subject tells nothing about others, so no claim is decided by it. What each "
        f"row differs by is in [verdicts.csv]({there}/verdicts.csv).\n"
    ]


def _note(folder: Path) -> list[str]:
    config = _config(folder)
    notes = [note_of(config), EARLIER if "folds" not in config else ""]
    recipe = [f"{said}\n" for said in [recipe_of(config)] if said]
    return recipe + [f"**{note}**\n" for note in notes if note]


def _config(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "record" / "config.yaml").read_text())


def _shown(folder: Path, there: Path) -> list[str]:
    """Each figure's picture, and what it shows."""
    lines = []
    for name in sorted(path.stem for path in (folder / "figures").glob("*.png")):
        lines.append(f"![{name}]({there}/figures/{name}.png)\n")
        said = CAPTIONS / f"{name}.rst"
        if said.is_file():
            lines.append(f"*{' '.join(said.read_text().split())}*\n")
    return lines


def _taken_over(folder: Path) -> list[str]:
    if not (weights := _config(folder).get("checkpoints")):
        return []
    return [
        f"Weights that `{weights}` has were taken over from there, their times of training too.\n"
    ]


def _provenance(folder: Path) -> str:
    path = folder / "record" / "provenance.json"
    told = json.loads(path.read_text()) if path.is_file() else {}
    lines = [
        f"- {key}: {value}" for key, value in told.items() if isinstance(value, str | int | float)
    ]
    lines.append(
        f"- config, versions and hashes of code and data: [record/]({UP / folder}/record/), "
        f"checksums of the record: [SHA256SUMS]({UP / folder}/SHA256SUMS)"
    )
    return "\n".join(lines) + "\n"
