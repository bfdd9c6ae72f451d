"""The names of a row, or a model, trained again: from another seed, or for another fold's people.

``lmidiffusion_seed-2`` is trained from other random numbers; ``lmidiffusion_fold-2`` on other
people, and translates those whom it has not seen. The first training has the plain name, so a study
of one training knows nothing of this.
"""

import re
from collections.abc import Iterable

MARK, FOLD_MARK = "_seed-", "_fold-"
FIRST_FOLD = 1
_REPEATED = re.compile(rf"(.+?)(?:{MARK}(\d+)|{FOLD_MARK}(\d+))?")


def repeated(name: str, seed: int, first: int) -> str:
    """The name of a row or model as trained from a seed; ``first`` is the study's own."""
    return name if seed == first else f"{name}{MARK}{seed}"


def in_fold(name: str, fold: int) -> str:
    """The name of a row or model as trained for a fold, counted from 1."""
    return name if fold == FIRST_FOLD else f"{name}{FOLD_MARK}{fold}"


def row_of(name: str) -> str:
    """The row, or model, that a name of :func:`repeated` or :func:`in_fold` is of."""
    return _parts(name)[0]


def seed_of_run(name: str, first: int) -> int:
    """The seed of a name of :func:`repeated`."""
    seed = _parts(name)[1]
    return first if seed is None else int(seed)


def fold_of_run(name: str) -> int:
    """The fold of a name of :func:`in_fold`."""
    fold = _parts(name)[2]
    return FIRST_FOLD if fold is None else int(fold)


def repeatable(names: Iterable[str]) -> str:
    """A regular expression of the names, each with or without a seed or a fold."""
    return "|".join(rf"{re.escape(name)}(?:(?:{MARK}|{FOLD_MARK})\d+)?" for name in names)


def _parts(name: str) -> tuple[str, str | None, str | None]:
    found = _REPEATED.fullmatch(name)
    return (found[1], found[2], found[3]) if found else (name, None, None)
