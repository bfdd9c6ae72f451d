"""Differences between two rows of the table, a subject, a training and a slice at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.quantities import QUANTITIES, Quantity

_QUANTITY = {quantity.key: quantity for quantity in QUANTITIES}


@dataclass(frozen=True)
class Differences:
    """One row minus another for one source and quantity, positive where the first is better.

    Attributes:
        values: frame of subject x seed in the quantity's unit, both sorted; all finite.
        deviations: frame of subject x slice, a slice's difference minus its subject's mean over
            slices, 0 where a slice has no number; the mean over trainings.
    """

    values: pd.DataFrame
    deviations: pd.DataFrame

    @property
    def means(self) -> pd.Series:
        """(subjects,) the mean over trainings."""
        return self.values.mean(axis=1)


class PairedScores:
    """The scores of a study, ready to be paired.

    Args:
        metrics: frame of ``metrics.csv``.
        slices: frame of ``slices.csv``.
        subjects: the subjects that should be there; ``None``: those of ``metrics``.

    Raises:
        StudyError: the frames are empty or of different studies; later, a row is there twice.
    """

    def __init__(
        self,
        metrics: pd.DataFrame,
        slices: pd.DataFrame,
        subjects: Sequence[str] | None = None,
    ) -> None:
        names = sorted({*metrics["study"], *slices["study"]})
        if metrics.empty or len(names) != 1:
            raise StudyError(f"scores: needs volumes and slices of one study, got {names}")
        self.metrics, self.slices = metrics, slices
        self.subjects = sorted(subjects if subjects is not None else set(metrics["subject"]))
        self._tables: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {}

    @cached_property
    def _scored(self) -> frozenset[tuple[str, str]]:
        pairs = self.metrics[["method", "source"]].drop_duplicates()
        return frozenset(pairs.itertuples(index=False, name=None))

    def has(self, method: str, source: str) -> bool:
        """Whether a row has any score from a source."""
        return (method, source) in self._scored

    def differences(self, row: str, against: str, source: str, quantity: str) -> Differences:
        """``row`` minus ``against``, its sign turned where lower is better.

        Regions are paired one by one and then averaged, so a tissue that one of the two rows does
        not define counts for neither. Trainings are paired by seed; a row of which nothing is
        trained stands beside each of the other's. A subject without a finite difference from every
        training has no entry.

        Raises:
            StudyError: the two rows were trained from different seeds.
        """
        volumes, slices = self._table(_QUANTITY[quantity])
        sign = 1 if _QUANTITY[quantity].higher_is_better else -1
        pair = (row, source), (against, source)
        values = (sign * _difference(volumes, *pair)).unstack("seed").dropna()
        by_slice = sign * _difference(slices, *pair).groupby(["subject", "slice"]).mean()
        depth = by_slice.unstack("slice").reindex(values.index)
        depth = depth.sub(depth.mean(axis=1), axis=0).fillna(0.0)
        return Differences(values, depth)

    def _table(self, quantity: Quantity) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Volumes and slices of a quantity, a column a region."""
        if quantity.key not in self._tables:
            self._tables[quantity.key] = (
                _by_region(self.metrics, quantity, ["subject", "seed"]),
                _by_region(self.slices, quantity, ["subject", "slice", "seed"]),
            )
        return self._tables[quantity.key]


def _by_region(frame: pd.DataFrame, quantity: Quantity, unit: list[str]) -> pd.DataFrame:
    wanted = (frame["metric"] == quantity.metric) & frame["region"].isin(quantity.regions)
    keys = ["method", "source", *unit, "region"]
    twice = frame[wanted].duplicated(keys)
    if twice.any():
        row = frame[wanted].loc[twice, keys].iloc[0]
        raise StudyError(f"scores: twice the row {', '.join(f'{k}={row[k]}' for k in keys)}")
    return frame[wanted].set_index(keys)["value"].unstack("region").sort_index()


def _difference(
    table: pd.DataFrame, first: tuple[str, str], second: tuple[str, str]
) -> "pd.Series[float]":
    a, b = (table[_is(table, key)].droplevel(["method", "source"]) for key in (first, second))
    seeds = [tuple(part.index.unique("seed").sort_values()) for part in (a, b)]
    if len(seeds[0]) > 1 and len(seeds[1]) > 1 and seeds[0] != seeds[1]:
        raise StudyError(
            f"scores: {first[0]} is of seeds {_said(seeds[0])} and {second[0]} of {_said(seeds[1])}"
        )
    both = max(seeds, key=len)
    difference = _beside(a, both).sub(_beside(b, both)).replace([np.inf, -np.inf], np.nan)
    return difference.mean(axis=1).dropna()


def _beside(part: pd.DataFrame, seeds: tuple[int, ...]) -> pd.DataFrame:
    """The rows of a single training, repeated for each of the seeds."""
    if part.index.unique("seed").size >= len(seeds):
        return part
    names, alone = part.index.names, part.droplevel("seed")
    return pd.concat(dict.fromkeys(seeds, alone), names=["seed"]).reorder_levels(names)


def _said(seeds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seeds))


def _is(table: pd.DataFrame, key: tuple[str, str]) -> NDArray[np.bool_]:
    index = table.index
    methods, sources = index.get_level_values("method"), index.get_level_values("source")
    return np.asarray((methods == key[0]) & (sources == key[1]))
