"""Which scans a command works on, and where the result of each goes."""

import argparse
import glob
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume, write_json
from lmidiff.common.memory import NOT_ENOUGH, ran_out
from lmidiff.data.volumes import check_header

logger = logging.getLogger("lmidiff")

_ENDING = re.compile(r"\.(nii|img|hdr)(\.(gz|bz2))?$|\.mg[zh]$", re.IGNORECASE)
_HEADER = re.compile(r"\.hdr(\.(?:gz|bz2))?$", re.IGNORECASE)
_NIFTI = re.compile(r"_([A-Za-z0-9]+)\.nii(\.gz)?$", re.IGNORECASE)

SOURCES = ("PDw", "T2w", "FLAIR")
"""Suffixes of a BIDS data set that are translated."""

_MISSPELT = re.compile(r"(pd|t2|pdt2|(t2)?flair)w?", re.IGNORECASE)
"""Suffixes that mean a source, but are none that BIDS has for one image of it."""

_PART = re.compile(r"_part-([A-Za-z0-9]+)(?=_)")

DERIVATIVES = Path("derivatives", "lmidiff")

_OURS = "_desc-lmidiff"
_MADE = re.compile(rf"{_OURS}(From[A-Za-z0-9]+)?_([A-Za-z0-9]+)$")


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


def scans_of(given: argparse.Namespace) -> list[str]:
    """The scans that the options name; raises StudyError if there is none."""
    named = [*given.scans, *([given.source] if given.source else [])]
    if not named:
        raise StudyError("name a scan to work on, such as scan.nii.gz")
    return named


def orders_of(
    given: Sequence[str],
    out: Path | None,
    target: str,
    *,
    volume: int | None = None,
    mask: Path | None = None,
    made: bool = False,
) -> list[Order]:
    """Scans, patterns and BIDS folders as scans with a result each.

    Args:
        given: files, patterns such as ``*.nii.gz``, or tops of BIDS data sets.
        out: the result, if there is one scan; beside the scan, or under ``derivatives/lmidiff`` of
            the data set, if None.
        target: the modality that is made.
        volume: taken of each scan, whose names have no number then.
        mask: a brain mask, if one is given.
        made: the scans are what ``translate`` wrote, which patterns otherwise leave out.

    Raises:
        StudyError: nothing is found, or one result or one mask is given for several scans, or two
            scans would get one result.
    """
    orders = [order for name in given for order in _orders(name, target, volume, made)]
    orders = _without_repeats(orders)
    if out is not None and len(orders) != 1:
        raise StudyError(
            f"--out {out}: names one result, and there are {len(orders)} scans; leave it out, and "
            "each result lies beside its scan"
        )
    if mask is not None and len(orders) != 1:
        raise StudyError(
            f"--mask {mask}: is of one scan, and there are {len(orders)}; give the scans one by "
            "one, each with its mask"
        )
    return orders if out is None else [replace(orders[0], out=out)]


def _without_repeats(orders: Iterable[Order]) -> list[Order]:
    """Each scan once; raises StudyError where two would get one result, by whatever names."""
    seen: dict[Path, tuple[tuple, Order]] = {}
    for order in orders:
        file, number = split_volume(order.scan)
        # A pair is one scan, by the name of either of its files.
        scan = (_HEADER.sub(r".img\1", os.path.realpath(file)), number)
        place = Path(os.path.realpath(order.out.parent), order.out.name)
        known, other = seen.setdefault(place, (scan, order))
        if known != scan:
            raise StudyError(f"{order.scan} and {other.scan} would both become {order.out}")
    return [order for _, order in seen.values()]


def _orders(name: str, target: str, volume: int | None, made: bool) -> Iterable[Order]:
    path, number = split_volume(name)
    if volume is not None and (number is not None or path.is_dir()):
        raise StudyError(
            f"--volume {volume}: is of scans and patterns, and {name} "
            + ("is a folder" if number is None else "has a number already; leave one out")
        )
    number = volume if number is None else number
    if path.is_dir():
        if number is not None:
            raise StudyError(f"{name}: is a folder, and has no volume {number}")
        return _of_bids(path, target)
    files = _matching(path, made) if _is_pattern(path) else [path]
    marked = "" if number is None else f"#{number}"
    return [
        Order(f"{file}{marked}", beside(file, target, number, made=made), modality(file))
        for file in files
    ]


def _is_pattern(path: Path) -> bool:
    return any(sign in str(path) for sign in "*?[") and not path.exists()


def _matching(path: Path, made: bool) -> list[Path]:
    """The scans that a pattern means, by name; results are none, unless they are what is asked."""
    folder = glob.escape(str(path.parent)) if path.parent.is_dir() else str(path.parent)
    found = [
        each
        for each in sorted(Path(file) for file in glob.glob(os.path.join(folder, path.name)))
        if _ENDING.search(each.name) and (_is_translation(each) if made else _OURS not in each.name)
    ]
    if not found:
        raise StudyError(
            f"{path}: matches no " + (f"translation ({_OURS}_*.nii.gz)" if made else "scan")
        )
    return found


def _is_translation(path: Path) -> bool:
    return bool(_MADE.search(stem_of(path))) and not stem_of(path).endswith("_dseg")


def stem_of(path: Path) -> str:
    """The name of a volume without what its format adds."""
    return _ENDING.sub("", path.name)


def beside(scan: Path, target: str, number: int | None = None, *, made: bool = False) -> Path:
    """``<stem>_desc-lmidiff_<target>.nii.gz`` beside a scan.

    Of what ``translate`` made, ``target`` takes the place of its modality, which is told where its
    source is not: it and the scan that it was made of may both be given.
    """
    stem, source = stem_of(scan), ""
    if made and (found := _MADE.search(stem)):
        stem, source = stem[: found.start()], found[1] or found[2]
    stem += "" if number is None else f"_volume-{number}"
    return scan.with_name(f"{stem}{_OURS}{source}_{target}.nii.gz")


def modality(scan: Path) -> str:
    """The suffix of a BIDS name, such as PDw; "" of another name."""
    found = _NIFTI.search(scan.name)
    return found[1] if found and scan.name.startswith("sub-") else ""


def _of_bids(folder: Path, target: str) -> list[Order]:
    scans = [scan for anat in _anat(folder) for scan in _sources(anat)]
    if not scans:
        raise StudyError(
            f"{folder}: has no sub-*/[ses-*/]anat/sub-*_({'|'.join(SOURCES)}).nii.gz; give a scan, "
            "or the top of a BIDS data set"
        )
    orders = []
    for scan in scans:
        source = modality(scan)
        stem = stem_of(scan).removesuffix(f"_{source}")
        place = folder / DERIVATIVES / scan.parent.relative_to(folder)
        orders.append(
            Order(str(scan), place / f"{stem}{_OURS}From{source}_{target}.nii.gz", source)
        )
    return orders


def _anat(folder: Path) -> Iterator[Path]:
    """The folders of anatomical images; those that cannot be read are said."""
    for person in _inside(folder, "sub-"):
        yield from (place for place in _inside(person, "anat") if place.name == "anat")
        for session in _inside(person, "ses-"):
            yield from (place for place in _inside(session, "anat") if place.name == "anat")


def _inside(folder: Path, start: str) -> list[Path]:
    """What a folder holds whose name starts so, in order; files hold nothing."""
    try:
        return sorted(place for place in folder.iterdir() if place.name.startswith(start))
    except NotADirectoryError:
        return []
    except OSError as error:
        logger.warning("WARNING %s: cannot be read (%s); it is left out", folder, error.strerror)
        return []


def _sources(anat: Path) -> list[Path]:
    """The scans of a folder that are translated, by source; what else may be meant is said.

    Of an image in parts the magnitude is taken: phase, real and imaginary part are no contrast.
    """
    found = []
    person = next(place.name for place in anat.parents if place.name.startswith("sub-"))
    for scan in _inside(anat, "sub-"):
        if not scan.name.startswith(f"{person}_"):
            logger.warning("WARNING %s: is left out: its name is not %s's", scan, person)
            continue
        suffix, part = modality(scan), _PART.search(scan.name)
        if suffix not in SOURCES:
            if _MISSPELT.fullmatch(suffix):
                logger.warning(
                    "WARNING %s: is left out: its suffix %s is none of %s; rename it, or give "
                    "it by itself, with --volume if it holds two contrasts",
                    scan,
                    suffix,
                    ", ".join(SOURCES),
                )
        elif part is None or part[1] == "mag":
            found.append(scan)
        elif not any((anat / _PART.sub(way, scan.name)).exists() for way in ("", "_part-mag")):
            logger.warning(
                "WARNING %s: is left out: a %s image is no magnitude; add part-mag",
                scan,
                part[1],
            )
    return sorted(found, key=lambda scan: (SOURCES.index(modality(scan)), scan))


def each_scan(orders: Sequence[Order], work: Callable[[Order], None]) -> None:
    """Work on every scan, though some cannot be used, which is said at once and at the end.

    Args:
        orders: the scans; of one alone, what is wrong is simply said.
        work: what is done to each.

    Raises:
        StudyError: something is wrong with one or more of them.
    """
    if len(orders) == 1:
        work(orders[0])
        return
    failed = {}
    for step in (lambda order: check_header(order.scan), work):
        for order in orders:
            if order.scan in failed:
                continue
            try:
                step(order)
            except (StudyError, OSError, MemoryError, RuntimeError) as error:
                if not isinstance(error, (StudyError, OSError)) and not ran_out(error):
                    raise
                failed[order.scan] = NOT_ENOUGH if ran_out(error) else str(error)
                told = failed[order.scan].replace("\n", "\\n")
                logger.warning("WARNING %s; it is left out", told)
    if failed:
        raise StudyError(
            f"{len(failed)} of {len(orders)} scans have no result, see above: {', '.join(failed)}"
        )


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
