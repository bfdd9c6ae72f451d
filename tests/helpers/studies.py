"""Configs of small studies, and what a study says of one that does not fit together."""

from pathlib import Path

import pytest

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check_config
from lmidiff.study.study import Study

# Six people in two folds, to be laid over the smoke study.
FOLDED = {
    "study": "folded",
    "folds": 2,
    "data": {"cohorts": {"simulated": {"subjects": {"train": 2, "val": 1, "test": 3}}}},
}
# Three test people, of whom the others teach what needs their sources; all else from two seeds.
CROSSED = {
    "study": "crossed",
    "seeds": 2,
    "data": FOLDED["data"],
    "models": {
        **{f"cyclegan_{source}": {"cross_fit": 3} for source in ("PDw", "T2w")},
        **{f"supervised_{source}": {"cross_fit": 2} for source in ("PDw", "T2w")},
    },
}


def message_of(config: dict) -> str:
    check_config(config)
    with pytest.raises(StudyError) as caught:
        Study(config)
    text = str(caught.value)
    assert "\n" not in text
    return text


def sheet_of(folder: Path, *rows: str) -> dict:
    """A cohort from a sheet whose images exist, as far as reading the sheet goes."""
    lines = ["subject\tmodality\tpath\tsplit"]
    for number, row in enumerate(rows):
        subject, modality, split = row.split()
        (folder / f"{number}.nii.gz").write_bytes(b"x")
        lines.append(f"{subject}\t{modality}\t{number}.nii.gz\t{split}")
    path = folder / "sheet.tsv"
    path.write_text("\n".join(lines) + "\n")
    return {"kind": "sheet", "sheet": str(path)}
