"""An IXI-shaped archive with known truth: whole heads, scanned through the project's simulator.

As in IXI: ``IXI012-HH-1211-PD.nii.gz`` in flat ``IXI-PD.tar``, ``IXI-T2.tar`` and ``IXI-T1.tar``;
PD and T2 axial on one grid, T1 sagittal on another; int16, skull and scalp included; and between
PD/T2 and T1 the head moves by a known rigid motion.
"""

import io
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import orientations
from scipy import ndimage

from lmidiff.common.seeds import generator_of
from lmidiff.data.anatomy import icbm_anatomy
from lmidiff.data.fields import smooth_field
from lmidiff.data.grid import Grid
from lmidiff.data.labelmaps import TISSUE_MIXES, read_label_map
from lmidiff.data.nifti import write_nifti
from lmidiff.data.sequences import TISSUES, Tissue, sequence_of
from lmidiff.data.simulate import add_rician_noise

ANATOMIES = Path(__file__).parents[3] / "shared" / "data" / "anatomies"
NAMES = (
    "IXI002-Guys-0828",
    "IXI012-HH-1211",
    "IXI035-IOP-0873",
    "IXI016-Guys-0697",
    "IXI013-HH-1212",
    "IXI230-IOP-0869",
    "IXI017-Guys-0698",
    "IXI015-HH-1258",
)
SUFFIXES = {"T1w": "T1", "PDw": "PD", "T2w": "T2"}
MAX_DEGREES, MAX_MM = 15.0, 15.0
HEAD_MM = 2.0

# BrainWeb's parameters at 1.5 T for what is outside the brain; bone gives next to no signal.
HEAD_TISSUES = {
    "fat": Tissue(t1=350.0, t2=70.0, t2s=58.0, pd=1.00),
    "muscle": Tissue(t1=900.0, t2=47.0, t2s=30.0, pd=1.00),
    "bone": Tissue(t1=500.0, t2=20.0, t2s=5.0, pd=0.10),
}
CLASSES = {**TISSUES, **HEAD_TISSUES}
# Shares of CLASSES in the labels of the head: 515, 516 bone; 514 sinus; 506 eye; 512 cord.
HEAD_MIXES = {
    515: {"bone": 1.0},
    516: {"bone": 0.5, "fat": 0.3},
    514: {"CSF": 0.3, "GM": 0.3},
    506: {"CSF": 1.0},
    512: {"WM": 0.7, "CSF": 0.3},
    511: {"muscle": 0.7, "fat": 0.2},
}
SOFT, SCALP = {"muscle": 0.85, "fat": 0.1}, {"muscle": 0.3, "fat": 0.65}
SCALP_MM = 9.0


@dataclass(frozen=True)
class Head:
    """A person's head: shares of CLASSES (6, X, Y, Z) float32, brain (X, Y, Z) bool, affine."""

    shares: np.ndarray
    brain: np.ndarray
    affine: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """Centre of the brain's bounding box, RAS mm."""
        index = np.argwhere(self.brain)
        return nib.affines.apply_affine(self.affine, (index.min(0) + index.max(0)) / 2)


@dataclass(frozen=True)
class Truth:
    """What is known of a made-up subject.

    Attributes:
        name: as in file names, ``IXI012-HH-1211``.
        images: modality (T1w, PDw, T2w) to int16 image with skull, in its file's orientation.
        masks: modality to the true brain on that image's grid, uint8.
        motion: (4, 4) rigid; takes RAS mm of the PD/T2 scans to RAS mm of the T1 scan.
        degrees, millimetres: size of the rotation, and of the shift of the brain's centre.
    """

    name: str
    images: dict[str, nib.Nifti1Image]
    masks: dict[str, nib.Nifti1Image]
    motion: np.ndarray
    degrees: float
    millimetres: float

    def member(self, modality: str) -> str:
        return f"{self.name}-{SUFFIXES[modality]}.nii.gz"


def subject(name: str, number: int = 0, *, voxel_mm: float = 3.0, seed: int = 1) -> Truth:
    """Scan the head ``number`` (the label maps are used in turn) under the name ``name``.

    Args:
        voxel_mm: pixels in plane; IXI's own are 0.9375. Slices keep IXI's proportion.
    """
    rng = generator_of(seed, name, "motion")
    head = head_of(number, seed)
    centre = head.centre
    degrees, millimetres = rng.uniform(3, MAX_DEGREES), rng.uniform(3, MAX_MM)
    motion = _rigid(_direction(rng), degrees, centre, millimetres * _direction(rng))
    shrink = 0.9375 / voxel_mm
    plane = round(256 * shrink)
    # Voxel edges of a file in right, anterior, superior; then the order and sense of its axes.
    axial = (voxel_mm, voxel_mm, 1.25 / shrink), (plane, plane, round(130 * shrink)), "LPS"
    sagittal = (1.2 / shrink, voxel_mm, voxel_mm), (round(150 * shrink), plane, plane), "PSR"
    # As a scanner's operator does, put each slab around the head, slightly tilted.
    tilts = [_rigid(_direction(rng), 2.0, centre, np.zeros(3)) for _ in range(2)]
    images, masks = {}, {}
    for modality in SUFFIXES:
        second = modality == "T1w"
        moved, tilt = motion if second else np.eye(4), tilts[second]
        zooms, shape, axes = sagittal if second else axial
        corner = centre - np.array(zooms) * (np.array(shape) - 1) / 2
        affine = tilt @ nib.affines.from_matvec(np.diag(zooms), corner)
        to_head = np.linalg.inv(head.affine) @ np.linalg.inv(moved) @ affine
        image = _scan(head, to_head, zooms, shape, modality, seed, name)
        mask = _sample(head.brain.astype(np.float32), to_head, shape) > 0.5
        images[modality] = _stored(image, affine, axes)
        masks[modality] = _stored(mask.astype(np.uint8), affine, axes)
    return Truth(name, images, masks, motion, degrees, millimetres)


def subjects(
    names: Iterable[str] = NAMES[:3], *, voxel_mm: float = 3.0, seed: int = 1
) -> list[Truth]:
    """One made-up subject a name."""
    return [subject(n, i, voxel_mm=voxel_mm, seed=seed) for i, n in enumerate(names)]


def write_images(truths: Sequence[Truth], folder: Path) -> dict[str, dict[str, Path]]:
    """Write every image as a file; returns the paths by name and modality."""
    paths: dict[str, dict[str, Path]] = {}
    for truth in truths:
        for modality, image in truth.images.items():
            path = folder / truth.member(modality)
            write_nifti(path, np.asarray(image.dataobj), image.affine)
            paths.setdefault(truth.name, {})[modality] = path
    return paths


def write_archives(truths: Sequence[Truth], folder: Path) -> dict[str, Path]:
    """Write ``IXI-T1.tar``, ``IXI-PD.tar`` and ``IXI-T2.tar``; returns the path by modality."""
    paths = write_images(truths, folder / "unpacked")
    archives = {}
    for modality, suffix in SUFFIXES.items():
        archives[modality] = folder / f"IXI-{suffix}.tar"
        with tarfile.open(archives[modality], "w") as archive:
            for name in sorted(paths):
                data = paths[name][modality].read_bytes()
                member = tarfile.TarInfo(paths[name][modality].name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return archives


@cache
def head_of(number: int, seed: int = 1) -> Head:
    """A real person's label map, or the built-in template in a made-up skull and scalp."""
    maps = sorted(ANATOMIES.glob("*.nii.gz"))
    return _labelled_head(maps[number % len(maps)]) if maps else _template_head(number, seed)


def _labelled_head(path: Path) -> Head:
    stored = nib.as_closest_canonical(nib.load(path))
    labels = np.asarray(stored.dataobj).astype(np.int16)
    table = np.zeros((len(CLASSES), 600), np.float32)
    for group, mix in TISSUE_MIXES.items():
        table[:3, list(group)] = np.array(mix, np.float32)[:, None]
    for label in range(500, 600):
        for tissue, share in HEAD_MIXES.get(label, SOFT).items():
            table[list(CLASSES).index(tissue), label] = share
    step = round(HEAD_MM / float(stored.header.get_zooms()[0]))
    shape = np.array(labels.shape) // step
    blocks = labels[tuple(slice(0, n * step) for n in shape)]
    shares = np.zeros((len(CLASSES), *shape), np.float32)
    for offset in np.ndindex(step, step, step):
        shares += table[:, blocks[tuple(slice(o, None, step) for o in offset)]]
    shares /= step**3
    depth = ndimage.distance_transform_edt(shares.any(axis=0), sampling=HEAD_MM)
    soft = np.isclose(shares[list(CLASSES).index("muscle")], SOFT["muscle"])
    for tissue, share in SCALP.items():
        shares[list(CLASSES).index(tissue)][soft & (depth < SCALP_MM)] = share
    # What skull stripping should leave, as the study's own simulator has it.
    stripped = read_label_map(path).tissue_between(-1e4, 1e4)
    middle = np.diag([step, step, step, 1.0]).astype(float)
    middle[:3, 3] = (step - 1) / 2
    affine = stored.affine @ middle
    to_brain = np.linalg.inv(stripped.affine) @ affine
    brain = _sample(stripped.values.sum(axis=0), to_brain, tuple(shape)) >= 0.5
    return Head(shares, brain, affine)


def _template_head(number: int, seed: int) -> Head:
    grid = Grid(image_size=128, pixel_size=HEAD_MM, slices=72, extent=(0.0, 1.0))
    anatomy = icbm_anatomy(grid, seed, "head", number)
    step = anatomy.affine[2, 2]
    rim = int(np.ceil(36 / step))
    fractions = np.pad(anatomy.fractions, ((0, 0), (0, 0), (0, 0), (rim, rim)))
    affine = anatomy.affine.copy()
    affine[2, 3] -= rim * step
    brain = fractions.sum(axis=0) >= 0.5
    distance = ndimage.distance_transform_edt(~brain, sampling=[HEAD_MM, HEAD_MM, step])
    below = np.arange(brain.shape[2]) < np.argwhere(brain)[:, 2].min()
    shells = {"CSF": (0, 3), "bone": (3, 9), "fat": (9, 14), "muscle": (14, 17)}
    shares = np.zeros((len(CLASSES), *brain.shape), np.float32)
    shares[:3] = fractions
    for tissue, (inner, outer) in shells.items():
        here = (distance > inner) & (distance <= outer) & ~brain
        shares[list(CLASSES).index(tissue)][here] = 1
    neck = (brain.any(axis=2)[:, :, None]) & below & (distance > 3)
    shares[:, neck] = 0
    for tissue, share in SOFT.items():
        shares[list(CLASSES).index(tissue)][neck] = share
    return Head(shares, brain, affine)


def _scan(head, to_head, zooms, shape, modality, seed, name) -> np.ndarray:
    """int16 magnitudes: signal equations, texture, receive field, Rician noise."""
    sequence = sequence_of(modality)
    rng = generator_of(seed, name, "scan", modality)
    axes = tuple(edge * np.arange(n) for edge, n in zip(zooms, shape, strict=True))
    signal = np.zeros(shape, np.float32)
    for shares, tissue in zip(head.shares, CLASSES.values(), strict=True):
        texture = np.exp(0.02 * smooth_field(rng, axes, 10.0))
        signal += _sample(shares, to_head, shape) * float(sequence.signal(tissue)) * texture
    receive = np.exp(0.15 * smooth_field(rng, axes, 70.0))
    white = float(sequence.signal(TISSUES["WM"]))
    ideal = np.abs(signal) * receive * (400 * np.exp(0.15 * rng.standard_normal()) / white)
    sigma = float(ideal[signal > 0.5 * white].mean()) / 40
    noisy = add_rician_noise(ideal.astype(np.float32), sigma, rng)
    return np.rint(noisy).astype(np.int16)


def _sample(values: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Linear interpolation at ``matrix`` @ index, for every index of ``shape``; 0 outside."""
    return ndimage.affine_transform(
        values, matrix[:3, :3], matrix[:3, 3], tuple(shape), np.float32, order=1
    )


def _stored(array: np.ndarray, affine: np.ndarray, axes: str) -> nib.Nifti1Image:
    """The image with its axes in the order and sense that ``axes`` names."""
    wanted = orientations.axcodes2ornt(axes)
    turned = orientations.apply_orientation(array, orientations.ornt_transform(RAS, wanted))
    back = orientations.inv_ornt_aff(orientations.ornt_transform(RAS, wanted), array.shape)
    return nib.Nifti1Image(turned, affine @ back)


RAS = orientations.axcodes2ornt("RAS")


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)


def _rigid(axis: np.ndarray, degrees: float, about: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Rotation by ``degrees`` around ``axis`` through the point ``about``, then ``shift``."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return nib.affines.from_matvec(turn, about - turn @ about + shift)
