"""``lmidiff segment``: CSF, grey and white matter of scans, by a study's K-Means."""

import argparse
import logging
from pathlib import Path

import torch

from lmidiff.cli.arguments import add_model, add_scan, file_path, number, refuse_together
from lmidiff.cli.common import Slices, files_read, load
from lmidiff.cli.scans import Order, each_scan, orders_of, scans_of
from lmidiff.cli.translate import translate
from lmidiff.common.devices import set_up
from lmidiff.common.errors import StudyError
from lmidiff.common.outputs import check_outputs
from lmidiff.common.regions import BRAIN, TISSUES
from lmidiff.data.own_space import check_plausible, normalised, read_own, require_out, to_slices
from lmidiff.data.voxels import MOST_EVEN, even_share
from lmidiff.evaluation.segmentation import (
    LEAST_WHITE,
    KMeansModel,
    lies_as_tissue,
    segment,
    white_share,
)
from lmidiff.methods.base import Method

logger = logging.getLogger("lmidiff")

TOLERANCE = 1e-3
PERCENTILE = 99.5

SLICES = {"image_size": 96, "pixel_size": 2.0, "spacing": 4.0}
"""Pixels, and mm, of slices whose percentile becomes 1, as it is of slices that a study takes it: a
scan's own voxels are noisier, and have a few bright ones below the brain."""

LABELS = "dseg"
"""Suffix of a result, as BIDS calls labels."""

MODEL_OPTIONS = ("method", "steps", "draws", "seed", "spacing")

_EPILOG = """The segmenter knows the intensities of one modality, the study's target. A scan of
that modality is taken through the study's preprocessing; a scan of another is first translated, if
--weights is given; a file that translate wrote is taken as it is, with --translated. Labels: 1
CSF, 2 grey matter, 3 white matter, 0 elsewhere, on the scan's own voxels. Without --out they
lie beside the scan, as <scan>_desc-lmidiff_dseg.nii.gz, and a translation's as
<scan>_desc-lmidiffT1w_dseg.nii.gz."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "segment", help="label the tissues of a raw or translated scan", epilog=_EPILOG
    )
    parser.add_argument(
        "--model",
        type=file_path,
        required=True,
        metavar="JSON",
        help="the segmenter (results/<study>/models/kmeans/kmeans.json)",
    )
    add_scan(parser, "the scans to label, or patterns such as '*.nii.gz'")
    parser.add_argument(
        "-o", "--out", type=file_path, metavar="NIFTI", help="the labels of one scan"
    )
    parser.add_argument(
        "--translated", action="store_true", help="the scan is a translation: 0..1, brain only"
    )
    parser.add_argument(
        "--percentile",
        type=number(1, 100),
        help=f"of the brain that becomes 1 (default: {PERCENTILE})",
    )
    add_model(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Label, and say where the results are."""
    scans = scans_of(given)
    if given.out:
        require_out(given.out)
        check_outputs([given.out], [*files_read(given, scans), given.model])
    _check_options(given)
    if folders := [scan for scan in scans if Path(scan).is_dir()]:
        raise StudyError(f"{folders[0]}: is a folder; name scans, or a pattern such as '*.nii.gz'")
    orders = orders_of(
        scans, given.out, LABELS, volume=given.volume, mask=given.mask, made=given.translated
    )
    read = [*files_read(given, [order.scan for order in orders]), given.model]
    check_outputs([order.out for order in orders], read)
    set_up(1)
    model = KMeansModel.load(given.model)
    if (model.field, model.images) != (BRAIN, BRAIN):
        raise StudyError(
            f"{given.model}: the K-Means of a study of whole heads or slices, and this command "
            f"shows it the brain alone; take one of data.field and segmentation.field: {BRAIN}"
        )
    if len(model.centres) != len(TISSUES):
        raise StudyError(
            f"{given.model}: has {len(model.centres)} centres, and this command labels "
            f"{', '.join(TISSUES)}; take the K-Means of a study with segmentation.clusters: "
            f"{len(TISSUES)}"
        )
    method = load(given) if given.weights else None
    each_scan(orders, lambda order: _segment(given, order, model, method))


def _check_options(given: argparse.Namespace) -> None:
    """Raise StudyError where options are given that do nothing together."""
    if given.translated and given.weights:
        raise StudyError("--translated is for a scan that is translated; leave out --weights")
    if given.translated:
        refuse_together(given, ("mask", "percentile"), "--translated takes the scan as it is")
    if given.weights:
        refuse_together(given, ("percentile",), "--weights go with a percentile of their own")
    else:
        refuse_together(given, MODEL_OPTIONS, "without --weights nothing is translated")


def _segment(
    given: argparse.Namespace,
    order: Order,
    model: KMeansModel,
    method: tuple[Method, Slices, torch.device] | None,
) -> None:
    """One scan."""
    scan = read_own(order.scan, given.mask, ready=given.translated)
    if method:
        for odd in check_plausible(scan):
            logger.warning("WARNING %s", odd)
        image = translate(scan, *method, given.spacing, model_pixels=True).image
        brain = scan.brain & (image > 0)
    elif given.translated:
        image, brain = scan.volume.data, scan.brain
        if image.max() > 1 + TOLERANCE:
            raise StudyError(
                f"{order.scan}: is no translation: its values reach {image.max():g}, a "
                "translation's 1; leave out --translated"
            )
        if (even := even_share(image, brain)) > MOST_EVEN:
            raise StudyError(
                f"{order.scan}: is no translation: {even:.0%} of its voxels equal all their "
                "neighbours, as in a mask or a map of labels; name the translation"
            )
    else:
        for odd in check_plausible(scan):
            logger.warning("WARNING %s", odd)
        slices = to_slices(scan, **SLICES, percentile=given.percentile or PERCENTILE)
        image, brain = normalised(scan, slices), scan.brain
    labels = segment(model, image, brain)
    if not lies_as_tissue(labels, scan.volume.voxel_mm):
        logger.warning(
            "WARNING %s: what is labelled white matter does not lie deepest in the brain, so this "
            "may not be the modality the segmenter knows; look at the result, or give --weights",
            order.scan,
        )
    elif (white := white_share(labels)) < LEAST_WHITE:
        logger.warning(
            "WARNING %s: only %.0f %% of the brain is labelled white matter, so this may not be "
            "the modality the segmenter knows; look at the result, or give --weights",
            order.scan,
            100 * white,
        )
    scan.write(order.out, labels)
    print(order.out)
