"""What held, what did not, what is open: one verdict on each claim, by the rule written here.

The rule, fixed before any number of a study is looked at (reasons: ``docs/verdicts.md``):

1. A claim has a *part* for each row it is compared with, each quantity it names and each source
   modality of the study, and says that in **every** part the difference exceeds the margin: the
   smallest difference that matters, or its negative where the claim is "not worse". Parts are not
   pooled: a mean over sources could hide one on which the method fails.
2. Evidence for: each part's one-sided sign-flip p against the margin; the largest is the claim's
   (intersection-union test, no correction). Evidence against: that some part is below its margin,
   by sign flips of whole subjects and the smallest p of the parts (min-p).
   With several trainings of each network, both are Student's t over people and trainings, and
   "some part" is Bonferroni's.
3. Each kind of p-value is corrected by Holm over the claims of one origin that were run.
4. *Held*: corrected p for at most ``level``, and every part's 95 % interval above its margin.
   *Did not hold*: corrected p against at most ``level``, and some part's interval below its margin.
   *Undecided*: neither. *Not run*: a row, a source or every subject is missing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from lmidiff.evaluation.crossed import crossed_interval
from lmidiff.evaluation.statistics import Interval
from lmidiff.verdicts.claims import Claim, Claims
from lmidiff.verdicts.differences import Differences, PairedScores
from lmidiff.verdicts.over_trainings import (
    any_part_crossed_p,
    crossed_p,
    people_to_settle,
)
from lmidiff.verdicts.paired import (
    MOST_SUBJECTS,
    any_part_p,
    hierarchical_intervals,
    holm,
    sign_flip_p,
    subjects_to_settle,
)

HELD, NOT_HELD, UNDECIDED, NOT_RUN = "held", "did not hold", "undecided", "not run"
UNKNOWN = "unknown"
VERDICTS = (HELD, NOT_HELD, UNDECIDED, NOT_RUN)
COLUMNS = [
    "claim", "origin", "sentence", "verdict", "row", "against", "quantity", "source",
    "subjects", "trainings", "effect", "low", "high", "margin", "effect_dz", "p_for",
    "p_for_holm", "p_against", "p_against_holm", "parts", "parts_above", "parts_below",
    "subjects_to_settle", "note",
]  # fmt: skip
PART_COLUMNS = [
    "claim", "row", "against", "quantity", "source", "subjects", "trainings", "effect", "low",
    "high", "margin", "effect_dz", "p_for", "p_against", "finding",
]  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One comparison of a claim: a row, a quantity, a source; numbers as in ``COLUMNS``.

    ``values`` are the (people, trainings) differences, ``spread`` their standard deviation over
    people.
    """

    against: str
    quantity: str
    source: str
    margin: float
    interval: Interval
    spread: float
    p_for: float
    p_against: float
    values: np.ndarray

    @property
    def finding(self) -> str:
        """The interval lies ``above`` or ``below`` the margin, ``across`` it, or is ``unknown``."""
        if np.isnan(self.interval.low):
            return UNKNOWN
        if self.interval.low > self.margin:
            return "above"
        return "below" if self.interval.high < self.margin else "across"

    @property
    def excess(self) -> float:
        """Mean difference beyond the margin, in the quantity's unit."""
        return self.interval.mean - self.margin

    @property
    def effect_dz(self) -> float:
        """Mean difference over its standard deviation between subjects (Cohen's d_z)."""
        return self.interval.mean / self.spread if self.spread > 0 else float("nan")


@dataclass(frozen=True)
class Evidence:
    """All that the scores say about a claim that was run."""

    parts: tuple[Part, ...]
    subjects: int
    trainings: int
    p_for: float
    p_against: float
    left_out: tuple[str, ...]

    @property
    def weakest(self) -> Part:
        """The part surest to lie below its margin or, where all lie above, least sure to.

        Of equally sure ones that with the lowest mean beyond the margin, in standard deviations.
        """

        def standing(part: Part) -> tuple[float, float]:
            sure = part.p_against if part.excess < 0 else 2 - part.p_for
            return sure, part.excess / part.spread if part.spread > 0 else part.excess * 1e9

        return min(self.parts, key=standing)


class Decision(NamedTuple):
    """A verdict and the corrected p-values it rests on."""

    verdict: str
    p_for: float
    p_against: float


def judge(
    scores: PairedScores,
    claims: Claims,
    sources: Sequence[str],
    *,
    once: Collection[str] = (),
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A verdict on each claim, and the comparisons behind it.

    Args:
        scores: of one study.
        claims: what is asked.
        sources: the study's source modalities; a claim must hold from each.
        once: rows whose networks are trained once where those of others are trained several times;
            the note of their claims says so.
        seed: of the bootstrap.

    Returns:
        A frame of ``COLUMNS``, a row a claim, with the numbers of the claim's weakest part; and
        one of ``PART_COLUMNS``, a row a part. ``effect`` is the mean difference over subjects,
        positive in the claim's favour, with the ends ``low, high`` of its 95 % interval.
    """
    found = {claim.key: evidence(scores, claim, claims, sources, seed) for claim in claims.claims}
    rows, parts = [], []
    for origin in dict.fromkeys(claim.origin for claim in claims.claims):
        of_origin = [claim for claim in claims.claims if claim.origin == origin]
        run = {c.key: e for c in of_origin if isinstance(e := found[c.key], Evidence)}
        decided = dict(zip(run, decide_all(list(run.values()), claims.level), strict=True))
        for claim in of_origin:
            outcome = found[claim.key]
            row = {"claim": claim.key, "origin": origin, "sentence": claim.sentence}
            row |= {"row": claim.row, "against": " ".join(claim.against)}
            if isinstance(outcome, str):
                rows.append({**row, "verdict": NOT_RUN, "note": outcome})
                continue
            alone = [name for name in (claim.row, *claim.against) if name in once]
            rows.append(row | _row(outcome, decided[claim.key], claims, len(run), alone))
            parts += [_part_row(claim, part, outcome) for part in outcome.parts]
    order = {claim.key: number for number, claim in enumerate(claims.claims)}
    frame = pd.DataFrame(rows, columns=COLUMNS).sort_values("claim", key=lambda k: k.map(order))
    return frame.reset_index(drop=True), pd.DataFrame(parts, columns=PART_COLUMNS)


def decide_all(found: Sequence[Evidence], level: float) -> list[Decision]:
    """The rule's last two steps on the claims of one origin: Holm's correction, and the verdict."""
    p_for, p_against = holm([e.p_for for e in found]), holm([e.p_against for e in found])
    return [
        Decision(decide(evidence.parts, a, b, level), float(a), float(b))
        for evidence, a, b in zip(found, p_for, p_against, strict=True)
    ]


def decide(parts: Iterable[Part], p_for: float, p_against: float, level: float) -> str:
    """A verdict from corrected p-values and the parts' intervals."""
    findings = [part.finding for part in parts]
    if p_for <= level and all(finding == "above" for finding in findings):
        return HELD
    if p_against <= level and "below" in findings:
        return NOT_HELD
    return UNDECIDED


def evidence(
    scores: PairedScores, claim: Claim, claims: Claims, sources: Sequence[str], seed: int
) -> Evidence | str:
    """What the scores say about a claim, or in words why it was not run."""
    hole = _hole(scores, claim, sources)
    if hole:
        return hole
    keys = [(a, q, s) for a in claim.against for q in claim.quantities for s in sources]
    found = [scores.differences(claim.row, a, s, q) for a, q, s in keys]
    common = sorted(set.intersection(*(set(one.values.index) for one in found)))
    if not common:
        return "no subject has a score in every comparison"
    margins = [claims.margin(claim, quantity) for _, quantity, _ in keys]
    left_out = tuple(sorted(set(scores.subjects) - set(common)))
    return weigh(keys, margins, *stacked(found, common), left_out=left_out, seed=seed)


def weigh(
    keys: Sequence[tuple[str, str, str]],
    margins: Sequence[float],
    values: np.ndarray,
    deviations: np.ndarray,
    *,
    left_out: tuple[str, ...] = (),
    seed: int,
) -> Evidence:
    """The evidence in the differences of one claim's parts.

    Args:
        keys: compared row, quantity and source of each part.
        margins: of each part, in the quantity's unit.
        values: (parts, subjects, trainings) differences, positive in the claim's favour, in the
            quantity's unit.
        deviations: (parts, subjects, slices), see :func:`.paired.hierarchical_intervals`.
        left_out: subjects that had to be left out.
        seed: of the bootstrap.
    """
    beyond = values - np.asarray(margins)[:, None, None]
    _, subjects, trainings = values.shape
    means = values.mean(axis=2)
    spreads = means.std(axis=1, ddof=1) if subjects > 1 else np.full(len(keys), np.nan)
    if trainings > 1:
        intervals = [crossed_interval(part) for part in values]
        p_for, p_against = crossed_p(beyond), crossed_p(-beyond)
        some_part = any_part_crossed_p(-beyond)
    else:
        intervals = hierarchical_intervals(means, deviations, seed=seed)
        beyond = beyond[:, :, 0]
        p_for, p_against = sign_flip_p(beyond), sign_flip_p(-beyond)
        some_part = any_part_p(-beyond)
    parts = tuple(
        Part(
            against=against,
            quantity=quantity,
            source=source,
            margin=float(margins[number]),
            interval=intervals[number],
            spread=float(spreads[number]),
            p_for=float(p_for[number]),
            p_against=float(p_against[number]),
            values=values[number],
        )
        for number, (against, quantity, source) in enumerate(keys)
    )
    return Evidence(
        parts=parts,
        subjects=subjects,
        trainings=trainings,
        p_for=float(p_for.max()),
        p_against=some_part,
        left_out=left_out,
    )


def stacked(found: Sequence[Differences], subjects: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Differences and deviations of some subjects.

    Returns:
        (parts, subjects, trainings), a part of one training repeated beside those of several; and
        (parts, subjects, slices).
    """
    each = [one.values.reindex(subjects).to_numpy(float) for one in found]
    most = max(part.shape[1] for part in each)
    values = np.array([np.broadcast_to(part, (len(subjects), most)) for part in each])
    depths = sorted({z for one in found for z in one.deviations.columns})
    frames = [one.deviations.reindex(index=subjects, columns=depths, fill_value=0) for one in found]
    return values, np.array([frame.to_numpy(float) for frame in frames])


def _hole(scores: PairedScores, claim: Claim, sources: Sequence[str]) -> str:
    """What a claim lacks in this study, in words."""
    if len(sources) < claim.least_sources:
        return f"needs {claim.least_sources} sources, the study has {len(sources)}"
    for name in (claim.row, *claim.against):
        lacking = [source for source in sources if not scores.has(name, source)]
        if len(lacking) == len(sources):
            return f"no row {name} in this study"
        if lacking:
            return f"no scores of {name} from {lacking[0]}"
    return ""


def _row(
    found: Evidence, decision: Decision, claims: Claims, run: int, alone: list[str]
) -> dict[str, object]:
    weakest = found.weakest
    findings = [part.finding for part in found.parts]
    notes = [f"left out, without a score: {' '.join(found.left_out)}"] if found.left_out else []
    if found.subjects == 1:
        notes.append("one subject tells nothing about others")
    if alone and found.trainings > 1:
        notes.append(
            f"of one training, how much another differs is in no interval: {' '.join(alone)}"
        )
    return {
        "verdict": decision.verdict,
        **_numbers(weakest),
        "subjects": found.subjects,
        "trainings": found.trainings,
        "p_for": found.p_for,
        "p_for_holm": decision.p_for,
        "p_against": found.p_against,
        "p_against_holm": decision.p_against,
        "parts": len(found.parts),
        "parts_above": findings.count("above"),
        "parts_below": findings.count("below"),
        "subjects_to_settle": _needed(found, claims, run) if decision.verdict == UNDECIDED else "",
        "note": "; ".join(notes),
    }


def _needed(found: Evidence, claims: Claims, run: int) -> str:
    """Subjects that would settle an undecided claim the way it leans, see ``docs/verdicts.md``."""
    alpha = claims.level / run
    below = [part for part in found.parts if part.excess < 0]
    if below:
        share = alpha / len(found.parts)
        needed = min(_settles(part, -part.excess, share, claims.power) for part in below)
    else:
        needed = max(_settles(part, part.excess, alpha, claims.power) for part in found.parts)
    if np.isnan(needed):
        return UNKNOWN
    needed = max(needed, found.subjects + 1.0)
    return f"{needed:.0f}" if np.isfinite(needed) else f"more than {MOST_SUBJECTS}"


def _settles(part: Part, excess: float, alpha: float, power: float) -> float:
    if part.values.shape[1] > 1:
        return people_to_settle(excess, part.values, alpha, power)
    return subjects_to_settle(excess, part.spread, alpha, power)


def _numbers(part: Part) -> dict[str, object]:
    mean, low, high, _ = part.interval
    return {
        "against": part.against,
        "quantity": part.quantity,
        "source": part.source,
        "effect": mean,
        "low": low,
        "high": high,
        "margin": part.margin,
        "effect_dz": part.effect_dz,
    }


def _part_row(claim: Claim, part: Part, found: Evidence) -> dict[str, object]:
    return {
        "claim": claim.key,
        "row": claim.row,
        "subjects": found.subjects,
        "trainings": found.trainings,
        **_numbers(part),
        "p_for": part.p_for,
        "p_against": part.p_against,
        "finding": part.finding,
    }
