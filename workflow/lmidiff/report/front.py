"""The first page of the report: what a study found, before anything else."""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from lmidiff.evaluation.costs import STAGES
from lmidiff.report.html import write_html
from lmidiff.report.summary import SHORT_COLUMNS, folds_text, interval, read_table
from lmidiff.study.rows import SAW_THE_ANSWER
from lmidiff.verdicts.rule import NOT_RUN, VERDICTS
from lmidiff.verdicts.text import claim_text, people_text, read_verdicts, verdict_counts

BEST = 4
"""Rows a source that the page names, beside the untouched source and the ceiling."""


def write_front(
    folder: Path, picture: str | Path, path: str | Path, about: Mapping[str, str]
) -> None:
    """Write the page: verdicts, a picture, the best rows, the way of an image by stage.

    A fragment of HTML, which the report's description includes.

    Args:
        folder: of a finished study: ``verdicts.csv``, ``table1.csv``, ``record/cost.csv``,
            ``record/config.yaml``.
        picture: PNG that is shown, Figure 2.
        path: the file.
        about: ``study``, ``sources`` and ``target``, as printed, and, if it has one, its ``note``.

    Raises:
        StudyError: one of these files is missing.
    """
    verdicts, table = read_verdicts(folder), read_table(folder)
    costs = pd.read_csv(folder / "record" / "cost.csv")
    ran = (verdicts["verdict"] != NOT_RUN).any()
    write_html(
        "front.html",
        path,
        about=about,
        counts=verdict_counts(verdicts),
        of_whom=f"{folds_text(folder)} {people_text(verdicts)}".strip() if ran else "",
        claims=_claims(verdicts),
        not_run=int((verdicts["verdict"] == NOT_RUN).sum()),
        picture=base64.b64encode(Path(picture).read_bytes()).decode(),
        columns=list(SHORT_COLUMNS.values()),
        rows=best_rows(table),
        stages=_stages(costs),
    )


def best_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The untouched source, the ``BEST`` rows by mean brain SSIM, the ceiling; for each source.

    Args:
        table: of :func:`lmidiff.report.summary.read_table`.
    """
    found = []
    for source, rows in table.groupby("source", sort=False):
        ssim = rows[rows["quantity"] == "ssim_brain"].set_index("method")
        scores = pd.to_numeric(ssim["mean"], errors="coerce").sort_values(ascending=False)
        answer = set(ssim.index[ssim["training"] == SAW_THE_ANSWER])
        ranked = [name for name in scores.dropna().index if name not in answer | {"source"}]
        best_answer = [name for name in scores.dropna().index if name in answer]
        shown = [name for name in ("source",) if name in ssim.index]
        found += [_row(rows, source, name) for name in shown + ranked[:BEST] + best_answer[:1]]
    return found


def _row(rows: pd.DataFrame, source: str, method: str) -> dict[str, Any]:
    cells = rows[rows["method"] == method].set_index("quantity")
    values = [interval(cells.loc[key, ["mean", "low", "high"]]) for key in SHORT_COLUMNS]
    named = {"source": source, "label": cells["label"].iloc[0], "saw": cells["training"].iloc[0]}
    return {**named, "values": values}


def _claims(verdicts: pd.DataFrame) -> list[tuple[str, list[Markup]]]:
    return [
        (verdict, [_in_html(claim_text(row)) for _, row in chosen.iterrows()])
        for verdict in VERDICTS
        if verdict != NOT_RUN and len(chosen := verdicts[verdicts["verdict"] == verdict])
    ]


def _in_html(text: str) -> Markup:
    """A sentence of a Markdown page, which knows `code` and nothing else."""
    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text))))


def _stages(costs: pd.DataFrame) -> Sequence[dict[str, str]]:
    whole = costs[costs["job"] == "all"].set_index("stage")
    return [
        {
            "name": stage,
            "jobs": f"{int(whole.loc[stage, 'jobs'])} jobs",
            "minutes": f"{whole.loc[stage, 'seconds'] / 60:.1f} min",
        }
        for stage in STAGES
        if stage in whole.index
    ]
