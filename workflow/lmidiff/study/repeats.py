"""The names of a row, or a model, trained again from another seed: ``lmidiffusion_seed-2``.

The first training has the plain name, so a study of one training knows nothing of this.
"""

import re
from collections.abc import Iterable

MARK = "_seed-"
_REPEATED = re.compile(rf"(.+?)(?:{MARK}(\d+))?")


def repeated(name: str, seed: int, first: int) -> str:
    """The name of a row or model as trained from a seed; ``first`` is the study's own."""
    return name if seed == first else f"{name}{MARK}{seed}"


def row_of(name: str) -> str:
    """The row, or model, that a name of :func:`repeated` is of."""
    return _parts(name)[0]


def seed_of_run(name: str, first: int) -> int:
    """The seed of a name of :func:`repeated`."""
    seed = _parts(name)[1]
    return first if seed is None else int(seed)


def repeatable(names: Iterable[str]) -> str:
    """A regular expression of the names, each with or without a seed."""
    return "|".join(rf"{re.escape(name)}(?:{MARK}\d+)?" for name in names)


def _parts(name: str) -> tuple[str, str | None]:
    found = _REPEATED.fullmatch(name)
    return (found[1], found[2]) if found else (name, None)
