"""Sources of a person whose target is real: simulated from labels, on the grid of that target.

What scores against the real target can show is bounded by the labels. They are another method's
work, made from that very target, whole voxels of one tissue each: what the method missed, lesions
and vessels among it, is in the target and not in the source, whose edges are the labels'.
"""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.data.anatomy import Anatomy
from lmidiff.data.dlmuse import freesurfer_of, is_dlmuse
from lmidiff.data.labelmaps import tissue_shares
from lmidiff.data.simulate import SimulationSettings, simulate_subject
from lmidiff.data.volumes import Volume

MIXING = (0.125, 0.75, 0.125)
"""What a voxel takes of its neighbours along each axis: linear interpolation at two points of it,
averaged, as for the study's other label maps (:mod:`lmidiff.data.anatomy`). It explains a real T1w
better than whole voxels do, or a wider blur (``tests/data/test_real_target.py``)."""

_TISSUE_MAP = (1, 2, 3)  # CSF, GM, WM


def anatomy_on_grid(labels: Volume) -> Anatomy:
    """A labelled person on the grid of the labels, voxels at the border of tissues mixed.

    Tissues are spread over neighbouring voxels of the brain, and sum to 1 in each voxel of it: a
    scan that is cut out by a mask does not fade towards the mask's edge.

    Args:
        labels: (X, Y, Z), DLMUSE's numbers, or 1 CSF, 2 GM, 3 WM; 0 outside the brain.

    Returns:
        With an affine of voxel sizes alone (mm): positions within the volume, not in the world.

    Raises:
        StudyError: other numbers, or no brain.
    """
    numbers = np.rint(labels.data).astype(np.int16)
    if is_dlmuse(numbers):
        shares = tissue_shares()[:, freesurfer_of(numbers)]
    elif np.isin(numbers, (0, *_TISSUE_MAP)).all():
        shares = np.stack([numbers == tissue for tissue in _TISSUE_MAP]).astype(np.float32)
    else:
        raise StudyError(
            f"{labels.name}: neither labels of DLMUSE nor 1 for CSF, 2 for GM, 3 for WM; "
            "sources are simulated from one of these"
        )
    brain = numbers > 0
    if not brain.any():
        raise StudyError(f"{labels.name}: no brain labels")
    mixed = np.stack([_mix(share) for share in shares])
    mixed = np.where(brain, mixed / np.maximum(_mix(brain.astype(np.float32)), 1e-6), 0)
    structures = mixed[3:] if len(mixed) > len(_TISSUE_MAP) else None
    return Anatomy(labels.name, mixed[:3], np.diag([*labels.voxel_mm, 1.0]), structures)


def simulate_sources(
    labels: Volume,
    sources: Iterable[str],
    *seed_parts: object,
    settings: SimulationSettings | None = None,
) -> dict[str, np.ndarray]:
    """Scans of a labelled person, as :func:`lmidiff.data.simulate.simulate_subject` makes them.

    Noise, textures and receive fields are drawn; nothing of the real target is in them.

    Args:
        labels: see :func:`anatomy_on_grid`.
        sources: names in :data:`lmidiff.data.sequences.SEQUENCES`.
        *seed_parts: name the draw, for example the study's seed and the subject.
        settings: departures from an ideal scan; the defaults if None.

    Returns:
        Modality to float32 (X, Y, Z) on the grid of the labels, scanner units, 0 outside the brain.

    Raises:
        StudyError: see :func:`anatomy_on_grid`; a source is unknown; or lesions are asked for,
            which the real target does not have.
    """
    if settings is not None and settings.lesions:
        raise StudyError(
            f"simulation.lesions is {settings.lesions:g}, and a real target has no simulated "
            "lesions; set it to 0"
        )
    anatomy = anatomy_on_grid(labels)
    return simulate_subject(anatomy, sources, *seed_parts, settings=settings).images


def _mix(share: np.ndarray) -> np.ndarray:
    for axis in range(share.ndim):
        share = ndimage.convolve1d(share, MIXING, axis=axis, mode="constant")
    return share
