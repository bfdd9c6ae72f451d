"""The tidy score files: one number a row, the same bytes for the same numbers.

``metrics.csv`` has a row per study, method, source, target, subject, seed of the training (a row
of which nothing is trained has the study's own), region and metric;
``slices.csv`` the same with a ``slice`` column. Values carry six decimals; ``inf`` is the PSNR of
a perfect match; ``nan`` is kept only where a number has no meaning: the Dice of a tissue that is
absent from both label images, and anything but ``image`` on a slice without brain. Such rows stay,
so that every subject has the same rows, and statistics skip them.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_text
from lmidiff.evaluation.metrics import Score

KEYS = ["study", "method", "source", "target", "subject", "seed"]
METRIC_COLUMNS = [*KEYS, "region", "metric", "value"]
SLICE_COLUMNS = [*KEYS, "slice", "region", "metric", "value"]


def frames_of(
    scores: Iterable[Score],
    *,
    study: str,
    method: str,
    source: str,
    target: str,
    subject: str,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The volume-level and the slice-level frame of one subject's scores."""
    frame = pd.DataFrame(list(scores), columns=list(Score._fields))
    keys = dict(zip(KEYS, (study, method, source, target, subject, seed), strict=True))
    frame = frame.assign(**keys)
    whole = frame["slice"].map(lambda z: z == "all").astype(bool)
    slices = frame.loc[~whole, SLICE_COLUMNS].astype({"slice": int})
    return frame.loc[whole, METRIC_COLUMNS].reset_index(drop=True), slices.reset_index(drop=True)


def collect(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join frames of many subjects and methods into one, checked and sorted.

    Args:
        frames: frames with the columns of ``metrics.csv``, or all with those of ``slices.csv``.

    Raises:
        StudyError: no frame, wrong columns, a row twice, ``nan`` where a number is due, or methods
            of one study, source and target scored on different subjects (their means would not
            be comparable).
    """
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        raise StudyError("scores: nothing to collect")
    columns = list(frames[0].columns)
    if columns not in (METRIC_COLUMNS, SLICE_COLUMNS):
        raise StudyError(f"scores: columns {columns}, expected {METRIC_COLUMNS} or with slice")
    for frame in frames:
        if list(frame.columns) != columns:
            raise StudyError(f"scores: columns {list(frame.columns)} beside {columns}")
    joined = pd.concat(frames, ignore_index=True)
    keys = columns[:-1]

    twice = joined.duplicated(keys)
    if twice.any():
        raise StudyError(f"scores: twice the row {_name(joined.loc[twice, keys].iloc[0])}")
    undefined = joined["value"].isna() & ~joined["metric"].str.startswith("dice_")
    if "slice" in columns:
        undefined &= joined["region"] == "image"
    if undefined.any():
        raise StudyError(f"scores: no number for {_name(joined.loc[undefined, keys].iloc[0])}")
    _check_subjects(joined)
    return joined.sort_values(keys, kind="stable", ignore_index=True)


def write_scores(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a frame that :func:`collect` returned; the same numbers give the same bytes."""
    # Adding 0.0 turns a rounded -0.0 into 0.0, which a sum in another order may produce.
    values = [f"{value:.6f}" for value in np.round(frame["value"].to_numpy(float), 6) + 0.0]
    write_text(path, frame.assign(value=values).to_csv(index=False, lineterminator="\n"))


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read ``metrics.csv`` or ``slices.csv``. Keys stay text, so subject ``007`` stays ``007``.

    Raises:
        StudyError: the file is missing, has other columns, or holds a value that is no number.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        if "seed" not in frame and "subject" in frame:  # recorded when there was one training
            frame.insert(frame.columns.get_loc("subject") + 1, "seed", "1")
        if list(frame.columns) not in (METRIC_COLUMNS, SLICE_COLUMNS):
            raise StudyError(f"{path}: has columns {list(frame.columns)}")
        types = {"value": float, "slice": int, "seed": int}
        return frame.astype({name: types[name] for name in types if name in frame})
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise StudyError(f"{path}: not a score file ({error})") from error


def _check_subjects(frame: pd.DataFrame) -> None:
    for (study, source, _), group in frame.groupby(["study", "source", "target"], sort=True):
        everyone = set(group["subject"])
        for (method, seed), rows in group.groupby(["method", "seed"], sort=True):
            lacking = sorted(everyone - set(rows["subject"]))
            if lacking:
                raise StudyError(
                    f"scores: {study}, {method} (seed {seed}) from {source} lacks subject "
                    f"{lacking[0]} that other methods have"
                )


def _name(row: pd.Series) -> str:
    return ", ".join(f"{key}={row[key]}" for key in row.index)
