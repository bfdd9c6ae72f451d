"""``python -m lmidiff segment``: CSF, grey and white matter of a scan, by a study's K-Means."""

import argparse
from pathlib import Path

from lmidiff.cli.common import add_model, add_scan, load
from lmidiff.cli.translate import translate
from lmidiff.common.devices import set_up
from lmidiff.common.errors import StudyError
from lmidiff.data.own_space import normalised, read_own, require_out
from lmidiff.evaluation.segmentation import KMeansModel, segment

_EPILOG = """The segmenter knows the intensities of one modality, the study's target. A scan of
that modality is taken through the study's preprocessing; a scan of another is first translated, if
--weights is given; a file that translate wrote is taken as it is, with --translated. Labels: 1
CSF, 2 grey matter, 3 white matter, 0 elsewhere, on the scan's own voxels."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "segment", help="label the tissues of a raw or translated scan", epilog=_EPILOG
    )
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="JSON",
        help="the segmenter (results/<study>/models/kmeans/kmeans.json)",
    )
    add_scan(parser, "the scan to label")
    parser.add_argument("--out", type=Path, required=True, metavar="NIFTI", help="the labels")
    parser.add_argument(
        "--translated", action="store_true", help="the scan is a translation: 0..1, brain only"
    )
    parser.add_argument(
        "--percentile", type=float, default=99.5, help="of the brain that becomes 1 (default 99.5)"
    )
    add_model(parser, required=False)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Label, and say where the result is."""
    require_out(given.out)
    if given.translated and given.weights:
        raise StudyError("--translated is for a scan that is translated; leave out --weights")
    set_up(1)
    model = KMeansModel.load(given.model)
    method = load(given) if given.weights else None
    scan = read_own(given.source, given.mask, ready=given.translated)
    if method:
        image, _ = translate(scan, *method, given.spacing)
        brain = scan.brain & (image > 0)
    elif given.translated:
        image, brain = scan.volume.data, scan.brain
    else:
        image, brain = normalised(scan, given.percentile), scan.brain
    scan.write(given.out, segment(model, image, brain))
    print(given.out)
