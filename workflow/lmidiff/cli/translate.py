"""``python -m lmidiff translate``: a raw scan to the modality that a model was trained on."""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from lmidiff.cli.common import Slices, add_model, add_scan, files_read, load, source_of
from lmidiff.common.devices import set_up
from lmidiff.common.outputs import check_outputs
from lmidiff.common.progress import Progress
from lmidiff.data.own_space import (
    OwnScan,
    back,
    check_plausible,
    read_own,
    require_out,
    stack_of,
    to_slices,
)
from lmidiff.methods.base import Method

logger = logging.getLogger("lmidiff")

BATCH = 16
"""Slices a network takes at a time; the method looks at the whole brain."""

SUBJECT = "source"

_EPILOG = """The scan may have its skull, any orientation and any voxel size. The brain is found,
the receive field corrected, every axial slice of the brain brought to the pixels that the model
knows and translated; the result lies over the scan in any viewer, 0..1, 0 outside the brain. Its
detail is that of the model's pixels. Slices above and below the part of the brain that the model
was trained on are translated too, and less to be trusted."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "translate", help="translate a raw scan with a trained model", epilog=_EPILOG
    )
    add_model(parser, required=True)
    add_scan(parser, "the scan to translate")
    parser.add_argument("--out", type=Path, required=True, metavar="NIFTI", help="the translation")
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="also write the standard deviation over the draws, as <out>_std.nii.gz",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Translate, and say where the result is."""
    require_out(given.out)
    results = [given.out, *([uncertainty_path(given.out)] if given.uncertainty else [])]
    check_outputs(results, files_read(given))
    set_up(1)
    method, like, device = load(given)
    scan = read_own(source_of(given), given.mask)
    image, spread = translate(scan, method, like, device, given.spacing)
    scan.write(given.out, image)
    print(given.out)
    if given.uncertainty:
        if spread is None:
            logger.info("this method draws no samples, so there is no uncertainty to write")
        else:
            scan.write(uncertainty_path(given.out), spread)
            print(uncertainty_path(given.out))


def translate(
    scan: OwnScan, method: Method, like: Slices, device: torch.device, spacing: float | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """A scan's translation and its standard deviation over the draws, on the scan's voxels."""
    for odd in check_plausible(scan):
        logger.warning("WARNING %s", odd)
    slices = to_slices(
        scan,
        image_size=like.image_size,
        pixel_size=like.pixel_size,
        spacing=spacing or like.pixel_size,
        percentile=like.percentile,
    )
    source = stack_of(slices)
    _watch(method, like.target, len(source))
    with torch.no_grad():
        result = method.translate(
            source.to(device), [(SUBJECT, place) for place in range(len(source))]
        )
    image = back(scan, slices, result.image.clamp(0, 1).cpu())
    return image, None if result.spread is None else back(scan, slices, result.spread.cpu())


def _watch(method: Method, target: str, slices: int) -> None:
    """Show progress, and let a network take a few slices at a time: the method gets the brain.

    What a method takes from the brain as a whole, such as its histogram, is so of all of it.
    """
    settings = getattr(method, "settings", None)
    if method.family != "diffusion" or settings is None:
        logger.info("translate %d slices to %s", slices, target)
        return
    progress = Progress(f"translate to {target}", slices * settings.steps * settings.draws, every=4)
    method.model.at_once = BATCH
    method.model.watch = lambda count: progress.step(count=count)


def uncertainty_path(out: Path) -> Path:
    """Where the standard deviation of a translation goes."""
    suffix = ".nii.gz" if out.name.endswith(".nii.gz") else ".nii"
    return out.with_name(out.name.removesuffix(suffix) + "_std" + suffix)
