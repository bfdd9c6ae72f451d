"""Verdicts as files and as Markdown; every number printed is read from a file."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text
from lmidiff.evaluation.quantities import QUANTITIES
from lmidiff.verdicts.rule import NOT_RUN, UNDECIDED, UNKNOWN, VERDICTS

COUNTS = frozenset({"subjects", "trainings", "parts", "parts_above", "parts_below"})
_TITLES = {quantity.key: quantity.title for quantity in QUANTITIES}


def write_frame(frame: pd.DataFrame, path: str | Path) -> None:
    """Write verdicts or comparisons as CSV: six decimals, "" where there is no number."""
    text = pd.DataFrame({name: [_cell(name, v) for v in frame[name]] for name in frame.columns})
    write_text(path, text.to_csv(index=False, lineterminator="\n"))


def _cell(name: str, value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, (float, np.floating)):
        # Adding 0.0 turns a rounded -0.0 into 0.0.
        return f"{value:.0f}" if name in COUNTS else f"{round(float(value), 6) + 0.0:.6f}"
    return str(value)


def read_verdicts(folder: Path) -> pd.DataFrame:
    """A study's verdicts.csv as text, "" where there is none.

    Raises:
        StudyError: the folder has no verdicts.
    """
    path = folder / "verdicts.csv"
    if not path.is_file():
        raise StudyError(f"{path}: no verdicts; run the study first (make reproduce)")
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def verdict_sentences(verdicts: pd.DataFrame) -> str:
    """What a reader learns first: a line a verdict, its claims in words, how sure that is."""
    lines = [people_text(verdicts)] if (verdicts["verdict"] != NOT_RUN).any() else []
    for verdict in VERDICTS:
        chosen = verdicts[verdicts["verdict"] == verdict]
        if len(chosen) and verdict != NOT_RUN:
            said = "; ".join(claim_text(row) for _, row in chosen.iterrows())
            lines.append(f"- **{verdict.capitalize()}**: {said}.")
    not_run = verdicts[verdicts["verdict"] == NOT_RUN]
    if len(not_run):
        lines.append(f"- **Not run in this study**: {'; '.join(not_run['sentence'])}.")
    return "\n".join(lines) + "\n"


def verdict_counts(verdicts: pd.DataFrame) -> str:
    """Such as "5 held, 3 did not hold, 2 undecided"; of the claims that were run."""
    counts = [(verdict, int((verdicts["verdict"] == verdict).sum())) for verdict in VERDICTS]
    said = [f"{count} {verdict}" for verdict, count in counts if count and verdict != NOT_RUN]
    return ", ".join(said) or "none could be run"


def verdict_lines(verdicts: pd.DataFrame) -> str:
    """The claims that were run, a short line each."""
    run = verdicts[verdicts["verdict"] != NOT_RUN]
    return "".join(
        f"{row['verdict']:<13} {textwrap.shorten(row['sentence'], 84, placeholder='...')}\n"
        for _, row in run.iterrows()
    )


def people_text(verdicts: pd.DataFrame) -> str:
    """What the numbers in :func:`verdict_sentences` are, and of how many people."""
    people = _people(verdicts)
    if set(verdicts["subjects"]) <= {"", "1"}:
        return (
            f"On {people}, which tells nothing about others; with the paired difference where "
            "each claim stands weakest:\n"
        )
    return (
        f"On {people} and {of_trainings(verdicts)}, with the paired difference and its 95 % "
        "interval where each claim stands weakest:\n"
    )


def of_trainings(verdicts: pd.DataFrame) -> str:
    """Such as "one training of each model"; "up to 3", for some may have fewer."""
    most = "" if _trainings(verdicts) == 1 else "up to "
    return f"{most}{trainings_text(verdicts)} of each model"


def trainings_text(verdicts: pd.DataFrame) -> str:
    """Such as "one training", or "3 trainings", of the models that are trained most often."""
    most = _trainings(verdicts)
    return "one training" if most == 1 else f"{most} trainings"


def _trainings(verdicts: pd.DataFrame) -> int:
    return max((int(text) for text in verdicts["trainings"] if text), default=1)


def _people(verdicts: pd.DataFrame) -> str:
    counts = sorted({int(text) for text in verdicts["subjects"] if text})
    people = " to ".join(str(count) for count in dict.fromkeys([counts[0], counts[-1]]))
    return f"{people} test subject" + ("" if counts[-1] == 1 else "s")


def claim_text(row: pd.Series) -> str:
    """A claim in words, with the numbers where it stands weakest."""
    title = _TITLES.get(row["quantity"], row["quantity"])
    said = f"{row['sentence']} ({difference_text(row)} {title}, from {row['source']})"
    if row["verdict"] != UNDECIDED or row["subjects_to_settle"] == UNKNOWN:
        return said
    if _more(row["subjects_to_settle"]) and int(row["trainings"]) > 1:
        return f"{said}, more trainings would be needed"
    return f"{said}, about {row['subjects_to_settle']} subjects would settle it"


def _more(needed: str) -> bool:
    return needed.startswith("more than")


def verdict_table(verdicts: pd.DataFrame) -> str:
    """The claims that were run as a Markdown table: verdict, weakest comparison, its numbers."""
    rows = [
        {
            "claim": row["sentence"],
            "of": row["origin"],
            "verdict": f"**{row['verdict']}**",
            "weakest comparison": f"against `{row['against']}` from {row['source']}, "
            + _TITLES.get(row["quantity"], row["quantity"]),
            "difference": f"{difference_text(row)}; must exceed {float(row['margin']):g}",
            "p for": _p(row["p_for_holm"]),
            "p against": _p(row["p_against_holm"]),
            "subjects": row["subjects"] + (f"; {row['note']}" if row["note"] else ""),
            "to settle it": row["subjects_to_settle"] or "–",
        }
        for _, row in verdicts[verdicts["verdict"] != NOT_RUN].iterrows()
    ]
    if not rows:
        return "No claim could be run on the rows of this study.\n"
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True) + "\n"


def legend(verdicts: pd.DataFrame) -> str:
    """How to read the table of verdicts; "" where it has no row."""
    if (verdicts["verdict"] == NOT_RUN).all():
        return ""
    several = _trainings(verdicts) > 1
    test = "t-test over people and trainings" if several else "sign flips"
    return (
        "A claim holds if it does from every source, in every quantity and against every row it "
        f"names; shown is where it stands weakest: the paired difference over {_people(verdicts)}, "
        "positive in the claim's favour, with its 95 % interval, and one-sided p-values "
        f"for and against the claim ({test}, Holm).\n"
    )


def difference_text(row: Mapping[str, str]) -> str:
    """The effect of a row of ``verdicts.csv`` with its interval: ``+0.012 [+0.003, +0.021]``."""
    ends = f" [{float(row['low']):+.3f}, {float(row['high']):+.3f}]" if row["low"] else ""
    return f"{float(row['effect']):+.3f}{ends}"


def _p(text: str) -> str:
    return "<0.001" if float(text) < 0.001 else f"{float(text):.3f}"
