"""What a subject's preprocessing is judged by: numbers, and the flags they raise."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_json, write_text
from lmidiff.data.registration import Registration
from lmidiff.data.upright import lies_otherwise
from lmidiff.data.volumes import Volume
from lmidiff.data.voxels import MOST_EVEN, even_share


@dataclass(frozen=True)
class Limits:
    """Outside of these a scan is flagged.

    Attributes:
        mask_ml: brain volume in ml, with its rim of fluid; adults.
        starts_mm: most that two starts of the registration may end apart.
        dice: least agreement of the brain masks after registration.
        turned_deg, moved_mm: most a head turns and moves between two scans.
        covered: least share of the brain that every scan shows.
        distinct: least share of the mutual information that a shift by 4 mm costs: two scans of
            one person lost 0.41 and more, of two people 0.36 and less.
        field_ratio: most that the receive field may vary over the brain, 99th to 1st percentile.
        even: largest share of the brain's voxels that are the equals of all their neighbours.
    """

    mask_ml: tuple[float, float] = (850.0, 2100.0)
    starts_mm: float = 2.0
    dice: float = 0.85
    turned_deg: float = 30.0
    moved_mm: float = 60.0
    covered: float = 0.98
    distinct: float = 0.38
    field_ratio: float = 5.0
    even: float = MOST_EVEN


LIMITS = Limits()


@dataclass(frozen=True)
class ScanQuality:
    """How the preprocessing of one scan went; see :class:`Limits` for the flags.

    Attributes:
        modality: of the scan.
        file: the scan's name in messages.
        mask_ml: volume of the brain found in this scan.
        p1, p50, p99: percentiles of the corrected scan's intensities in the brain.
        field_ratio: 99th over 1st percentile of the receive field in the brain.
        registration: how it lies over the reference; None for the reference.
        flags: what is wrong, in words.
    """

    modality: str
    file: str
    mask_ml: float
    p1: float
    p50: float
    p99: float
    field_ratio: float
    registration: Registration | None
    flags: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """One line of the table."""
        row = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "registration"}
        found = asdict(self.registration) if self.registration else {}
        for key in (f.name for f in fields(Registration) if f.name != "matrix"):
            row[key] = found.get(key)
        row["flags"] = "; ".join(self.flags)
        return row


def scan_quality(
    modality: str,
    raw: Volume,
    corrected: Volume,
    brain: np.ndarray,
    field: np.ndarray,
    registration: Registration | None = None,
    limits: Limits = LIMITS,
) -> ScanQuality:
    """Judge one scan.

    Args:
        modality: of the scan.
        raw, corrected: before and after bias correction.
        brain: (X, Y, Z) bool on the scan's own grid.
        field: (X, Y, Z), the receive field.
        registration: None for the reference.
        limits: outside of which it is flagged.
    """
    ml = float(brain.sum()) * float(np.prod(raw.voxel_mm)) / 1000
    inside = corrected.data[brain]
    p1, p50, p99 = (float(p) for p in np.percentile(inside, (1, 50, 99)))
    low, high = np.percentile(field[brain], (1, 99))
    ratio = float(high / low)
    flags = []
    if not limits.mask_ml[0] <= ml <= limits.mask_ml[1]:
        flags.append(f"a brain of {ml:.0f} ml")
    if p50 <= 0 or p99 > 20 * p50:
        flags.append("intensities pile up at 0")
    if even_share(raw.data, brain) > limits.even:
        flags.append("equal neighbours, as in a map of labels")
    if ratio > limits.field_ratio:
        flags.append(f"the receive field varies {ratio:.1f}-fold")
    if axes := lies_otherwise(raw.data, brain, raw.affine):
        flags.append(f"turned: its right, front and top seem to be the header's {axes}")
    if registration is not None:
        flags += _registration_flags(registration, limits)
    return ScanQuality(modality, raw.name, ml, p1, p50, p99, ratio, registration, tuple(flags))


def _registration_flags(found: Registration, limits: Limits) -> Iterable[str]:
    if found.starts_mm > limits.starts_mm:
        yield f"two starts of the registration end {found.starts_mm:.1f} mm apart"
    if found.dice_after < limits.dice:
        yield f"brain masks agree only to Dice {found.dice_after:.3f}"
    if found.after < found.before:
        yield "the registration made the mutual information smaller"
    if found.turned_deg > limits.turned_deg or found.moved_mm > limits.moved_mm:
        yield f"turned {found.turned_deg:.0f} degrees, moved {found.moved_mm:.0f} mm"
    if found.distinct < limits.distinct:
        yield "the scans fit no better than those of two people"
    if found.covered < limits.covered:
        yield f"shows only {found.covered:.0%} of the brain"


def write_quality(
    path: str | Path,
    subject: str,
    reference: str,
    scans: Sequence[ScanQuality],
    files: Mapping[str, str] | None = None,
) -> None:
    """Write a subject's judgement as JSON; with ``files``, which is each scan's."""
    entries = []
    for scan in scans:
        matrix = None if scan.registration is None else scan.registration.matrix.tolist()
        entries.append({**scan.row(), "flags": list(scan.flags), "matrix": matrix})
    content = {"subject": subject, "reference": reference, "scans": entries}
    write_json(path, content if files is None else {**content, "files": dict(files)})


def read_flags(path: str | Path) -> list[str]:
    """The flags in a file of :func:`write_quality`, each with its modality."""
    content = json.loads(Path(path).read_text())
    return [f"{scan['modality']}: {flag}" for scan in content["scans"] for flag in scan["flags"]]


def collect_quality(paths: Sequence[str | Path]) -> pd.DataFrame:
    """One row a scan from the files of :func:`write_quality`."""
    rows = []
    for path in paths:
        content = json.loads(Path(path).read_text())
        for scan in content["scans"]:
            row = {key: value for key, value in scan.items() if key != "matrix"}
            row = {"subject": content["subject"], "reference": content["reference"], **row}
            rows.append({**row, "flags": "; ".join(scan["flags"])})
    last = ["flags", "file"]
    table = pd.DataFrame(rows)
    return table[[c for c in table.columns if c not in last] + last]


def write_quality_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table of :func:`collect_quality` as CSV."""
    write_text(path, table.to_csv(index=False, float_format="%.5g", lineterminator="\n"))


def refuse_flagged(files: Mapping[str, str], policy: str) -> None:
    """Stop where a subject is flagged, unless the config keeps flagged subjects.

    Args:
        files: subject to its file of :func:`write_quality`.
        policy: ``stop`` or ``keep``, the config's ``data.flagged``.

    Raises:
        StudyError: names the first flagged subject, its flags and what can be done.
    """
    for subject, path in files.items():
        flags = read_flags(path)
        if flags and policy == "stop":
            raise StudyError(
                f"{subject}: flagged in preprocessing ({'; '.join(flags)}); look at "
                f"{Path(path).with_suffix('.png')}, then list it under data.exclude, "
                "or set data.flagged: keep"
            )
