"""``lmidiff translate``: raw scans to the modality that a model was trained on."""

import argparse
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import lmidiff
from lmidiff.cli.arguments import add_model, add_scan, file_path
from lmidiff.cli.common import Slices, files_read, load
from lmidiff.cli.scans import Order, describe_dataset, each_scan, orders_of, scans_of, stem_of
from lmidiff.common.devices import set_up
from lmidiff.common.errors import StudyError
from lmidiff.common.files import sha256, write_json
from lmidiff.common.outputs import check_outputs
from lmidiff.common.progress import Progress
from lmidiff.data.detail import at_own_resolution, doubt_of, function_of
from lmidiff.data.grid import MOST_SLICES
from lmidiff.data.hyperintensities import TARGET, held
from lmidiff.data.own_space import (
    OwnScan,
    back,
    check_plausible,
    normalised,
    read_own,
    require_out,
    stack_of,
    to_slices,
)
from lmidiff.methods.base import Method
from lmidiff.methods.retrace import CONTRASTS, retracing_error
from lmidiff.options import Sampling

logger = logging.getLogger("lmidiff")

BATCH = 16
"""Slices a network takes at a time; the method looks at the whole brain."""

SPACING_MM = 1.0
"""Slices are translated no closer than that, if nobody says."""

SUBJECT = "source"
NAME = "lmidiff"
"""Of the maker, in the JSON beside a result."""

UNCERTAINTY = {
    True: "standard deviation over the draws",
    False: "mean absolute error of translating the translation back from random contrasts, and "
    "what the scan's own detail changes",
}
"""What the map is, of a method that draws and of one that does not; 0..1, as the translation."""

_EPILOG = """A scan may have its skull, any orientation and any voxel size. The brain is found, the
receive field corrected, the brain's axial slices brought to the pixels that the model knows and
translated, and the scan's own detail put back; where a slice has less than a tenth of the largest
one's brain, that detail is all there is. What a FLAIR shows brighter than white matter, as lesions
are, comes out about as dark as grey matter. The result lies over the scan in any viewer, 0..1, 0
outside the brain. Without --out it lies beside the scan, as <scan>_desc-lmidiff_T1w.nii.gz, with a
JSON of how it was made; of a BIDS data set under derivatives/lmidiff. Not for diagnosis."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "translate", help="translate raw scans to T1w, or as a model was trained", epilog=_EPILOG
    )
    add_scan(parser, "scans, patterns such as '*.nii.gz', or BIDS folders")
    parser.add_argument("-o", "--out", type=file_path, metavar="NIFTI", help="the translation")
    add_model(parser)
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="also write how far off it may be, as <out>_uncertainty.nii.gz: the deviation over "
        "the draws, or how well one pass retraces its own translation",
    )
    parser.add_argument(
        "--qc",
        action="store_true",
        help="also draw scan, translation and uncertainty, as <out>_qc.png",
    )
    parser.add_argument(
        "--model-pixels",
        action="store_true",
        help="leave the result as detailed as the model's pixels",
    )
    parser.add_argument(
        "--lesions-as-translated",
        action="store_true",
        help="leave what a FLAIR shows brighter than white matter as the model translates it, "
        "which has seen no lesion",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Translate, and say where the results are."""
    scans = scans_of(given)
    if given.out:
        require_out(given.out)
        check_outputs([given.out], files_read(given, scans))
    method, like, device = load(given)
    orders = orders_of(scans, given.out, like.target, volume=given.volume, mask=given.mask)
    for order in orders:
        results = [order.out, sidecar(order.out)]
        results += [uncertainty_path(order.out)] if given.uncertainty else []
        results += [picture(order.out)] if given.qc else []
        check_outputs(results, files_read(given, [each.scan for each in orders]))
        _check_own(results)
    set_up(1)
    each_scan(orders, lambda order: _translate(given, order, method, like, device))


def _translate(
    given: argparse.Namespace, order: Order, method: Method, like: Slices, device: torch.device
) -> None:
    """One scan."""
    start = time.monotonic()
    scan = read_own(order.scan, given.mask)
    odd = check_plausible(scan)
    for line in odd:
        logger.warning("WARNING %s", line)
    asked = given.uncertainty or given.qc
    by = {"Name": NAME, "Version": lmidiff.__version__}
    found = translate(
        scan,
        method,
        like,
        device,
        given.spacing,
        given.model_pixels,
        asked,
        lesions=not given.lesions_as_translated,
    )
    image, doubt = found.image, found.doubt
    if found.held_ml:
        logger.info(
            "%s: %.1f ml are brighter than this FLAIR's white matter and were given about grey "
            "matter's intensity, as lesions have on T1w; look for lesions on the FLAIR itself",
            scan.volume.name,
            found.held_ml,
        )
    # First, so that what is left half done is known again.
    write_json(sidecar(order.out), {"GeneratedBy": by, "Unfinished": True})
    try:
        scan.write(order.out, image)
    except StudyError:
        if not order.out.exists():
            sidecar(order.out).unlink(missing_ok=True)
        raise
    made = [order.out]
    if given.uncertainty:
        if doubt is None:
            logger.info("this method knows no uncertainty, so there is none to write")
        else:
            scan.write(uncertainty_path(order.out), doubt)
            made.append(uncertainty_path(order.out))
    if given.qc:
        from lmidiff.figures.own_scan import draw_scan  # drawing takes a while to import

        draw_scan(scan, image, doubt, picture(order.out), like.target)
        made.append(picture(order.out))
    describe_dataset(order.out, lmidiff.__version__)
    write_json(
        sidecar(order.out),
        {
            "Sources": [str(order.scan)],
            "Target": like.target,
            "GeneratedBy": {**by, "Method": method.label},
            "Weights": {"File": str(given.weights), "SHA256": sha256(given.weights)},
            "Mask": str(given.mask) if given.mask else None,
            "Seed": given.seed,
            **({"Steps": given.steps, "Draws": given.draws} if _draws(method) else {}),
            "SpacingMM": given.spacing or round(_spacing(scan, like), 3),
            "ModelPixelsOnly": given.model_pixels,
            "HyperintensitiesML": None if found.held_ml is None else round(found.held_ml, 2),
            **({"Uncertainty": UNCERTAINTY[like.contrast is None]} if doubt is not None else {}),
            "Warnings": odd,
            "Seconds": round(time.monotonic() - start, 1),
            "Use": "for research; not for diagnosis",
        },
    )
    for path in made:  # last, for nobody may be there to read it
        print(path)


@dataclass(frozen=True)
class Translated:
    """A scan's translation, on the scan's voxels.

    Attributes:
        image: (X, Y, Z), 0..1, 0 outside the brain.
        doubt: same shape: the standard deviation over the draws, the doubt of one pass
            (:func:`lmidiff.data.detail.doubt_of`), or None.
        held_ml: volume of what was held near grey matter (:mod:`lmidiff.data.hyperintensities`);
            None where nothing was looked for.
    """

    image: np.ndarray
    doubt: np.ndarray | None
    held_ml: float | None = None


def translate(
    scan: OwnScan,
    method: Method,
    like: Slices,
    device: torch.device,
    spacing: float | None = None,
    model_pixels: bool = False,
    uncertainty: bool = False,
    lesions: bool = True,
) -> Translated:
    """A scan's translation and how far off it may be.

    Args:
        scan: the scan.
        method: ready to translate.
        like: what the model's slices are like.
        device: where to translate.
        spacing: mm from slice to slice; if None the scan's, within ``SPACING_MM`` and a pixel.
        model_pixels: leave out the scan's own detail (:mod:`lmidiff.data.detail`).
        uncertainty: of a method that draws no samples, whether to ask how well it retraces its own
            translation (:mod:`lmidiff.methods.retrace`).
        lesions: whether to hold what a FLAIR shows brighter than white matter, where its own detail
            is put back and the target is one of which that is known.
    """
    spacing = spacing or _spacing(scan, like)
    slices = to_slices(
        scan,
        image_size=like.image_size,
        pixel_size=like.pixel_size,
        spacing=spacing,
        percentile=like.percentile,
    )
    source = stack_of(slices)
    apart = float(np.linalg.norm(slices.affine[:3, 2]))
    if len(source) == MOST_SLICES and apart > 1.1 * spacing:
        text = "WARNING %s: slices are %.2f mm apart, for no more than %d are translated"
        logger.warning(text, scan.volume.name, apart, MOST_SLICES)
    _watch(method, f"translate to {like.target}", len(source))
    ids = [(SUBJECT, place) for place in range(len(source))]
    with torch.no_grad():
        result = method.translate(source.to(device), ids)
    stack = result.image.clamp(0, 1).cpu()

    coarse = back(scan, slices, stack)
    image, held_ml = coarse, None
    if not model_pixels:
        own = normalised(scan, slices)
        function = function_of(source, stack)
        voxel_mm = scan.volume.voxel_mm
        image = at_own_resolution(own, scan.brain, voxel_mm, coarse, function, like.pixel_size)
        kept = None
        if lesions and like.target == TARGET:
            kept = held(scan.volume.data, scan.brain, voxel_mm, image)
        if kept is not None:
            image, held_ml = kept.image, kept.ml
    if result.spread is not None:
        return Translated(image, back(scan, slices, result.spread.cpu()), held_ml)
    if not uncertainty or like.contrast is None:
        return Translated(image, None, held_ml)
    _watch(method, "translate it back from random contrasts", len(source) * CONTRASTS)
    shown = torch.where(source > 0, stack, 0.0).to(device)
    error = back(scan, slices, retracing_error(method, shown, ids, like.contrast).cpu())
    doubt = doubt_of(error, image, coarse, scan.brain, scan.volume.voxel_mm)
    return Translated(image, doubt, held_ml)


def _spacing(scan: OwnScan, like: Slices) -> float:
    """As close as the scan's own slices, where those are closer than the model's pixels."""
    return min(max(float(scan.volume.voxel_mm[2]), SPACING_MM), like.pixel_size)


def _watch(method: Method, what: str, slices: int) -> None:
    """Show progress, and let a network take a few slices at a time: the method gets the brain.

    What a method takes from the brain as a whole, such as its histogram, is so of all of it.
    """
    if not hasattr(method.model, "at_once"):
        logger.info("%s, %d slices", what, slices)
        return
    evaluations = method.settings.steps * method.settings.draws if _draws(method) else 1
    progress = Progress(what, slices * evaluations, every=4)
    method.model.at_once = BATCH
    method.model.watch = lambda count: progress.step(count=count)


def _draws(method: Method) -> bool:
    """Whether a translation is a mean of draws."""
    return isinstance(method.settings, Sampling)


def uncertainty_path(out: Path) -> Path:
    """Where the uncertainty of a translation goes."""
    suffix = ".nii.gz" if out.name.endswith(".nii.gz") else ".nii"
    return out.with_name(out.name.removesuffix(suffix) + "_uncertainty" + suffix)


def sidecar(out: Path) -> Path:
    """Where the description of a translation goes."""
    return out.with_name(stem_of(out) + ".json")


def _check_own(results: list[Path]) -> None:
    """Raise StudyError if what goes beside a translation would replace what others wrote there.

    Args:
        results: the translation, its description, which tells who wrote, and what else is made.
    """
    _, described, *_ = results
    beside = [path for path in results[1:] if path.exists()]
    if not beside:
        return
    try:
        by = json.loads(described.read_text())["GeneratedBy"]["Name"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        by = None
    if by != NAME:
        raise StudyError(
            f"{beside[0]}: would be written over, and by {described.name} lmidiff did not make it "
            "(GeneratedBy.Name); name another result with --out"
        )


def picture(out: Path) -> Path:
    """Where the picture of a translation goes."""
    return out.with_name(stem_of(out) + "_qc.png")
