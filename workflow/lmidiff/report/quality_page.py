"""The quality page: every raw subject's judgement, and the pictures, in one HTML file."""

import base64
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lmidiff.report.html import write_html

EMBEDDED = 40
"""Pictures of up to this many subjects are put into the page; beyond, only flagged ones are."""


_TEXTS = ("subject", "modality", "reference", "flags", "file")


def write_page(
    table: pd.DataFrame, pictures: Sequence[str | Path], excluded: Sequence[str], path: str | Path
) -> None:
    """Write the page.

    Args:
        table: see :func:`lmidiff.data.quality.collect_quality`.
        pictures: one a subject, named ``sub-XX_...``, in the order of the table.
        excluded: subjects that the config leaves out.
        path: the HTML file; links to pictures are relative to it.
    """
    shown = table.drop(columns="file", errors="ignore")
    flagged = list(dict.fromkeys(table.loc[table["flags"] != "", "subject"]))
    few = len(pictures) <= EMBEDDED
    entries = []
    # Flagged subjects first.
    for picture in sorted(pictures, key=lambda p: (_subject(p) not in flagged, str(p))):
        name = _subject(picture)
        link = os.path.relpath(picture, Path(path).parent)
        show = few or name in flagged
        content = base64.b64encode(Path(picture).read_bytes()).decode() if show else ""
        entries.append((name, link, content))
    rows = [{k: _cell(v) for k, v in row.items()} for row in shown.to_dict("records")]
    write_html(
        "quality.html",
        path,
        title="Preprocessing of raw scans",
        subjects=table["subject"].nunique(),
        flagged=flagged,
        excluded=list(excluded),
        columns=list(shown.columns),
        texts=_TEXTS,
        rows=rows,
        pictures=entries,
    )


def _subject(picture: str | Path) -> str:
    return Path(picture).name.split("_")[0]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return "" if value is None else str(value)
