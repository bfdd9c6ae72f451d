"""Which scans a command works on, and where the result of each goes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume, write_json

ENDINGS = (".nii.gz", ".nii", ".mgz", ".mgh", ".img", ".hdr")
SOURCES = ("PDw", "T2w", "FLAIR")
"""Suffixes of a BIDS data set that are translated."""

DERIVATIVES = Path("derivatives", "lmidiff")


@dataclass(frozen=True)
class Order:
    """A scan and where its result goes.

    Attributes:
        scan: the file, with ``#N`` for one volume of several.
        out: the result.
        source: its modality, as far as the name says; "" otherwise.
    """

    scan: str
    out: Path
    source: str = ""


def orders_of(given: Sequence[str], out: Path | None, target: str) -> list[Order]:
    """Scans, patterns and BIDS folders as scans with a result each.

    Args:
        given: files, patterns such as ``*.nii.gz``, or tops of BIDS data sets.
        out: the result, if there is one scan; beside the scan, or under ``derivatives/lmidiff`` of
            the data set, if None.
        target: the modality that is made.

    Raises:
        StudyError: nothing is found, or one result is asked for of several scans, or two scans
            would get one result.
    """
    orders = [order for name in given for order in _orders(name, target)]
    if out is not None:
        if len(orders) != 1:
            raise StudyError(
                f"--out {out}: names one result, and there are {len(orders)} scans; leave it out, "
                "and each result lies beside its scan"
            )
        orders = [Order(orders[0].scan, out, orders[0].source)]
    seen: dict[Path, str] = {}
    for order in orders:
        other = seen.setdefault(order.out, order.scan)
        if other != order.scan:
            raise StudyError(f"{order.scan} and {other} would both become {order.out}")
    return list({order.out: order for order in orders}.values())


def _orders(name: str, target: str) -> Iterable[Order]:
    path, number = split_volume(Path(name).expanduser())
    if path.is_dir():
        return _of_bids(path, target)
    if not path.exists() and any(sign in path.name for sign in "*?["):
        found = [
            each
            for each in sorted(path.parent.glob(path.name))
            if each.name.endswith(ENDINGS) and "_desc-lmidiff" not in each.name
        ]
        if not found:
            raise StudyError(f"{name}: matches no scan")
        return [Order(str(each), beside(each, target), modality(each)) for each in found]
    scan = str(path) if number is None else f"{path}#{number}"
    return [Order(scan, beside(path, target, number), modality(path))]


def beside(scan: Path, target: str, number: int | None = None) -> Path:
    """``<stem>_desc-lmidiff_<target>.nii.gz`` beside a scan; ``<stem>`` without its modality."""
    stem = next((scan.name.removesuffix(e) for e in ENDINGS if scan.name.endswith(e)), scan.name)
    stem += "" if number is None else f"_volume-{number}"
    return scan.with_name(f"{stem}_desc-lmidiff_{target}.nii.gz")


def modality(scan: Path) -> str:
    """The suffix of a BIDS name, such as PDw; "" of another name."""
    found = re.search(r"_([A-Za-z0-9]+)\.nii(\.gz)?$", scan.name)
    return found[1] if found and scan.name.startswith("sub-") else ""


def _of_bids(folder: Path, target: str) -> list[Order]:
    scans = [
        scan
        for pattern in ("sub-*/anat", "sub-*/ses-*/anat")
        for source in SOURCES
        for scan in sorted(folder.glob(f"{pattern}/sub-*_{source}.nii*"))
        if "_part-phase" not in scan.name
    ]
    if not scans:
        raise StudyError(
            f"{folder}: has no sub-*/[ses-*/]anat/sub-*_({'|'.join(SOURCES)}).nii.gz; give a scan, "
            "or the top of a BIDS data set"
        )
    orders = []
    for scan in scans:
        source = modality(scan)
        stem = re.sub(rf"_{source}\.nii(\.gz)?$", "", scan.name)
        made = f"{stem}_desc-lmidiffFrom{source}_{target}.nii.gz"
        place = folder / DERIVATIVES / scan.parent.relative_to(folder)
        orders.append(Order(str(scan), place / made, source))
    return orders


def describe_dataset(out: Path, version: str) -> None:
    """Write ``dataset_description.json`` for a result among BIDS derivatives, once."""
    place = next((p for p in out.parents if p.parts[-2:] == DERIVATIVES.parts), None)
    if place is not None and not (place / "dataset_description.json").exists():
        write_json(
            place / "dataset_description.json",
            {
                "Name": "lmidiff",
                "BIDSVersion": "1.9.0",
                "DatasetType": "derivative",
                "GeneratedBy": [{"Name": "lmidiff", "Version": version}],
            },
        )
