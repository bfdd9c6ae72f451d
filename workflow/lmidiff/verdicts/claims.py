"""The claims of ``config/claims.yaml``: what is compared with what, declared before any number."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check, read_yaml
from lmidiff.evaluation.quantities import QUANTITIES


@dataclass(frozen=True)
class Claim:
    """A claim about rows of the table.

    Attributes:
        key: its name in files.
        origin: ``paper`` or ``study``; p-values are corrected within an origin.
        sentence: what it says, in words.
        row: the row it speaks of.
        against: the rows it is compared with; it must hold against each.
        quantities: keys of :data:`lmidiff.evaluation.quantities.QUANTITIES`; it must hold in each.
        shows: ``better`` (by more than what matters) or ``not_worse`` (by no more than it).
        least_sources: it is about several source modalities, and not run on fewer.
    """

    key: str
    origin: str
    sentence: str
    row: str
    against: tuple[str, ...]
    quantities: tuple[str, ...]
    shows: str = "better"
    least_sources: int = 1


@dataclass(frozen=True)
class Claims:
    """All claims with the settings of the rule that decides them.

    Attributes:
        level: chance of any false verdict of one kind within an origin.
        power: that "how many subjects would settle it" is computed for.
        matters: quantity to the smallest difference that matters, in the quantity's unit.
        reference: the rows that ``comparisons.csv`` may compare with, the first present is taken.
        claims: in the order of printing.
    """

    level: float
    power: float
    matters: dict[str, float]
    reference: tuple[str, ...]
    claims: tuple[Claim, ...]

    def margin(self, claim: Claim, quantity: str) -> float:
        """The difference that the claim must exceed, positive in the claim's favour."""
        return self.matters[quantity] * (1 if claim.shows == "better" else -1)


def read_claims(path: str | Path) -> Claims:
    """Read and check the claims.

    Raises:
        StudyError: the file cannot be read, does not fit its schema, names an unknown quantity or
            one without a smallest difference, compares a row with itself, or repeats a key.
    """
    try:
        found = read_yaml(path)
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: no YAML ({' '.join(str(error).split())})") from error
    check(found, "claims", str(path))
    known = [quantity.key for quantity in QUANTITIES]
    for key in found["matters"]:
        if key not in known:
            raise StudyError(f"{path}: matters.{key} is no quantity; known are {', '.join(known)}")
    claims = []
    for block in found["claims"]:
        where = f"{path}: claim {block['key']}"
        for key in block["quantities"]:
            if key not in found["matters"]:
                raise StudyError(f"{where}: quantity {key} has no smallest difference in matters")
        if block["row"] in block["against"]:
            raise StudyError(f"{where}: compares {block['row']} with itself")
        if block["key"] in {claim.key for claim in claims}:
            raise StudyError(f"{where}: is there twice")
        lists = {name: tuple(block[name]) for name in ("against", "quantities")}
        claims.append(Claim(**{**block, **lists}))
    return Claims(
        level=found["level"],
        power=found["power"],
        matters=dict(found["matters"]),
        reference=tuple(found["reference"]),
        claims=tuple(claims),
    )
