"""``lmidiff preprocess``: raw scans of one person to aligned, masked, corrected ones."""

import argparse
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from lmidiff.cli.arguments import expanded, file_path
from lmidiff.cli.scans import stem_of
from lmidiff.common.devices import set_up
from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume
from lmidiff.common.outputs import check_outputs
from lmidiff.data.align import align_subject, write_aligned, write_transform
from lmidiff.data.identity import identity
from lmidiff.data.quality import write_quality
from lmidiff.data.volumes import describe, read_volume

logger = logging.getLogger("lmidiff")

ALIGNED = "_desc-lmidiff_aligned"

_EPILOG = """Writes to the folder, for PDw=a.nii.gz T1w=b.nii.gz: PDw.nii.gz and T1w.nii.gz on the
grid of the first, bias-corrected; brain_mask.nii.gz; from-T1w_to-PDw_xfm.tfm (ITK); quality.json
and quality.png. Without --out the folder lies beside the first scan, as a_desc-lmidiff_aligned.
Exit status 1 if a scan is flagged, unless --keep is given.
Look at quality.png: the mask's outline on the first scan, its edges over the others."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "preprocess", help="mask, bias-correct and align the raw scans of a person", epilog=_EPILOG
    )
    parser.add_argument(
        "named",
        nargs="*",
        metavar="NAME=NIFTI",
        help="modality and file of each scan of one person; the others are laid over the first",
    )
    parser.add_argument(
        "--scans", nargs="+", default=[], metavar="NAME=NIFTI", help="the same as NAME=NIFTI"
    )
    parser.add_argument(
        "--mask", type=file_path, metavar="NIFTI", help="brain mask of the first scan"
    )
    parser.add_argument("-o", "--out", type=file_path, metavar="FOLDER", help="of the results")
    parser.add_argument("--keep", action="store_true", help="flags are no failure")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Preprocess, and say where the results are and what is flagged."""
    named = [*given.named, *given.scans]
    if not named:
        raise StudyError("name the scans of a person, such as PDw=a.nii.gz T1w=b.nii.gz")
    paths = dict(_named(text) for text in named)
    if len(paths) < len(named):
        raise StudyError("--scans: a modality is named twice; give each scan its own name")
    _check_distinct(paths)
    reference = next(iter(paths))
    if given.out is None:
        first, number = split_volume(paths[reference])
        volume = "" if number is None else f"_volume-{number}"
        given.out = first.with_name(stem_of(first) + volume + ALIGNED)
    images = {name: given.out / f"{name}.nii.gz" for name in paths}
    mask_file, judged = given.out / "brain_mask.nii.gz", given.out / "quality.json"
    picture = given.out / "quality.png"
    transforms = {
        name: given.out / f"from-{name}_to-{reference}_xfm.tfm"
        for name in paths
        if name != reference
    }
    outputs = [*images.values(), *transforms.values(), mask_file, judged, picture]
    check_outputs(
        outputs, [*paths.values(), *([given.mask] if given.mask else [])], folder=given.out
    )
    _check_own(outputs, judged, paths)
    set_up(1)
    scans = {name: read_volume(path, role=name) for name, path in paths.items()}
    mask = read_volume(given.mask, role="mask", flat=True) if given.mask else None
    subject = align_subject(scans, reference, mask)
    # First, so that a folder that was left half full is known again.
    write_quality(judged, str(given.out), reference, subject.quality, _files(paths))
    write_aligned(subject, images, mask_file)
    for name, path in transforms.items():
        write_transform(path, subject.transforms[name])
    from lmidiff.figures.alignment_check import draw_quality  # drawing takes a while to import

    draw_quality(subject, str(given.out), picture)
    print(given.out)
    flags = [f"{scan.modality}: {flag}" for scan in subject.quality for flag in scan.flags]
    if flags and not given.keep:
        raise StudyError(f"{given.out}: flagged: {'; '.join(flags)}; look at quality.png")
    for flag in flags:
        logger.warning("WARNING %s", flag)


def _check_own(outputs: list[Path], judged: Path, paths: dict[str, Path]) -> None:
    """Raise StudyError if a result would replace what others wrote, or what was of other scans."""
    there = [path for path in outputs if path.exists()]
    if not there:
        return
    try:
        content = json.loads(judged.read_text())
        before = {Path(scan["file"]).name for scan in content["scans"]}
        if not before:
            raise LookupError("no scan")
        files = dict(content.get("files", _files(paths)))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise StudyError(
            f"{there[0]}: is there already, and lmidiff preprocess did not write it; name another "
            "folder with --out"
        ) from None
    now = {describe(path.name, role=name) for name, path in paths.items()}
    if before != now:
        raise StudyError(
            f"{judged.parent}: holds the results of {', '.join(sorted(before))}, not of "
            f"{', '.join(sorted(now))}; name another folder with --out"
        )
    for name, file in _files(paths).items():
        if files.get(name) != file:
            raise StudyError(
                f"{judged.parent}: holds the results of {files.get(name)}, not of {file}; name "
                "another folder with --out"
            )


def _files(paths: Mapping[str, Path]) -> dict[str, str]:
    """Where each scan lies, by whatever name it was given: two people's may be called the same."""
    return {name: os.path.realpath(path) for name, path in paths.items()}


def _check_distinct(paths: dict[str, Path]) -> None:
    """Raise StudyError if one file is given as two contrasts, by whatever names."""
    seen: dict[object, str] = {}
    for name, path in paths.items():
        other = seen.setdefault(identity(path), name)
        if other != name:
            raise StudyError(
                f"--scans: {path} is given as {name} and as {other}; name each contrast's own file"
            )


def _named(text: str) -> tuple[str, Path]:
    name, separator, file = text.partition("=")
    if not separator or not name.isalnum() or not file:
        raise StudyError(f"--scans {text!r}: write it as NAME=FILE, for example PDw=a.nii.gz")
    return name, expanded(file)
