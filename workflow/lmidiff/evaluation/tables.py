"""The study's table: a row per source modality and method, each number with its interval.

This module computes the table; :mod:`lmidiff.report.table_writers` prints it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.costs import Cost
from lmidiff.evaluation.crossed import mean_interval
from lmidiff.evaluation.quantities import QUANTITIES, Quantity
from lmidiff.evaluation.statistics import Interval

NOT_OBTAINED = "not obtained"
PUBLISHED_COLUMNS = ["method", "source", "metric", "region", "value", "page"]


@dataclass(frozen=True)
class MethodInfo:
    """What the table says of a method.

    Attributes:
        key: the name in the config and in ``metrics.csv``.
        label: the name printed.
        needs_text: what training saw, e.g. ``nothing``, ``target``, ``target + source (unpaired)``,
            ``pairs``; for people, nothing is decided by it.
        tuned_text: what settings were chosen on, e.g. ``validation subjects, target only``.
        zero_shot: whether no training behind the row saw the source it translates.
        ceiling: whether the row is a bound that is shown the answer, and no method.
    """

    key: str
    label: str
    needs_text: str
    tuned_text: str
    zero_shot: bool
    ceiling: bool = False

    @property
    def saw_source(self) -> bool:
        """Whether training read the source modality."""
        return not (self.zero_shot or self.ceiling)

    @property
    def kind(self) -> str:
        """In words, for legends."""
        if self.ceiling:
            return "ceiling"
        return "zero-shot" if self.zero_shot else "training saw the source"


def measured_quantities(metrics: pd.DataFrame) -> tuple[Quantity, ...]:
    """The quantities of a study: all but the optional ones that ``metrics.csv`` has no row of."""
    metrics_there = set(metrics["metric"])
    return tuple(q for q in QUANTITIES if not q.optional or q.metric in metrics_there)


def table_quantities(table: pd.DataFrame) -> tuple[Quantity, ...]:
    """The quantities that a table of :func:`table1` has columns of."""
    return tuple(q for q in QUANTITIES if f"{q.key}_mean" in table)


def values_by_training(metrics: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """A quantity of one method and source: a row a subject, a column a seed, both sorted."""
    wanted = (metrics["metric"] == quantity.metric) & metrics["region"].isin(quantity.regions)
    return metrics[wanted].groupby(["subject", "seed"], sort=True)["value"].mean().unstack("seed")


def values_by_subject(metrics: pd.DataFrame, quantity: Quantity) -> pd.Series:
    """One value a subject: the mean over trainings of :func:`values_by_training`."""
    return values_by_training(metrics, quantity).mean(axis=1)


def table1(
    metrics: pd.DataFrame,
    methods: Sequence[MethodInfo],
    published: pd.DataFrame | None = None,
    *,
    sources: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
    costs: Mapping[tuple[str, str], Cost] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Summarise volume-level scores over subjects.

    Args:
        metrics: of one study, see :func:`lmidiff.evaluation.scores.read_scores`.
        methods: the rows, in this order, for every source.
        published: the paper's numbers (:func:`read_published`); ``None`` or empty: none obtained.
        sources: the source modalities in order; ``None`` takes those in ``metrics``, sorted. Name
            them, so that a source that failed altogether shows as missing.
        subjects: the test subjects; name them, so that one without any score shows as missing.
        costs: method and source to its cost (:func:`lmidiff.evaluation.costs.row_costs`).
        seed: of the bootstrap; the same resampling serves every cell of equal size.

    Returns:
        A row per source and method with ``source, target, method, label, training, tuned,
        saw_source, ceiling, status`` (``measured`` or ``missing``), ``subjects`` with a score,
        ``trainings`` of the row and ``expected`` subjects; ``training_seconds`` and
        ``translation_seconds`` a slice (``nan``: not recorded); and for every quantity
        ``<key>_mean, <key>_low, <key>_high, <key>_n``, and the paper's value and page,
        ``<key>_paper, <key>_page`` (``nan`` and "": not obtained).

    Raises:
        StudyError: a slice-level frame, several studies or targets, or no or repeated methods.
    """
    keys = [method.key for method in methods]
    if not keys or len(set(keys)) != len(keys):
        raise StudyError(f"table: methods {keys} are empty or repeated")
    if "slice" in metrics or metrics.empty:
        raise StudyError("table: needs the volume-level metrics.csv with at least one row")
    for column in ("study", "target"):
        if metrics[column].nunique() != 1:
            raise StudyError(f"table: several {column} values: {sorted(metrics[column].unique())}")
    unknown = sorted(set(metrics["method"]) - set(keys))
    if unknown:
        raise StudyError(f"table: scores of {unknown[0]}, which is no configured method")
    if sources is None:
        sources = sorted(metrics["source"].unique())

    rows = []
    for source in sources:
        for method in methods:
            chosen = metrics[(metrics["source"] == source) & (metrics["method"] == method.key)]
            row = {
                "source": source,
                "target": metrics["target"].iloc[0],
                "method": method.key,
                "label": method.label,
                "training": method.needs_text,
                "tuned": method.tuned_text,
                "saw_source": method.saw_source,
                "ceiling": method.ceiling,
                "status": "measured" if len(chosen) else "missing",
                "subjects": chosen["subject"].nunique(),
                "trainings": chosen["seed"].nunique(),
                "expected": len(subjects) if subjects else metrics["subject"].nunique(),
            }
            cost = (costs or {}).get((method.key, source), Cost())
            row |= {"training_seconds": cost.training, "translation_seconds": cost.translation}
            for quantity in measured_quantities(metrics):
                interval = mean_interval(values_by_training(chosen, quantity), seed=seed)
                for name, value in zip(Interval._fields, interval, strict=True):
                    row[f"{quantity.key}_{name}"] = value
                row |= _paper(published, method.key, source, quantity)
            rows.append(row)
    return pd.DataFrame(rows)


def read_published(path: str | Path) -> pd.DataFrame:
    """Read the paper's numbers as a reader of the PDF typed them in; an empty list is valid.

    Raises:
        StudyError: the file cannot be read, has other columns, or a row lacks a field (a value
            without its page cannot be checked), is of no column of the table, is no number, or is
            there twice.
    """
    try:
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise StudyError(f"{path}: not a table ({error})") from error
    if list(frame.columns) != PUBLISHED_COLUMNS:
        raise StudyError(f"{path}: has columns {list(frame.columns)}, needs {PUBLISHED_COLUMNS}")
    known = [(quantity.metric, quantity.region) for quantity in QUANTITIES]
    for line, row in enumerate(frame.itertuples(index=False), start=2):
        if not all(str(field).strip() for field in row):
            raise StudyError(f"{path}: line {line} lacks a field; a value needs its page")
        if (row.metric, row.region) not in known:
            raise StudyError(
                f"{path}: line {line}: the table has no {row.metric} of {row.region}; it has "
                + ", ".join(" of ".join(pair) for pair in known)
            )
    if frame.duplicated(PUBLISHED_COLUMNS[:4]).any():
        raise StudyError(f"{path}: the same method, source, metric and region twice")
    try:
        return frame.astype({"value": float})
    except ValueError as error:
        raise StudyError(f"{path}: a value is no number ({error})") from error


def _paper(
    published: pd.DataFrame | None, method: str, source: str, quantity: Quantity
) -> dict[str, object]:
    value, page = float("nan"), ""
    if published is not None:
        keys = {"method": method, "source": source}
        keys |= {"metric": quantity.metric, "region": quantity.region}
        rows = published[(published[list(keys)] == list(keys.values())).all(axis=1)]
        if len(rows):
            value, page = float(rows["value"].iloc[0]), str(rows["page"].iloc[0])
    return {f"{quantity.key}_paper": value, f"{quantity.key}_page": page}
