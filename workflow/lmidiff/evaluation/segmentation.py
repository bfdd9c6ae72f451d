"""The paper's segmenter: K-Means on intensities, trained on the target modality only.

The segmenter never sees a translated image in training. It is fitted once on voxels of the
target modality's training subjects and then labels whatever image it is given by the nearest
centre. Of the field "brain": 1 cerebrospinal fluid, 2 grey matter, 3 white matter, by the order of
their brightness in the target modality; 0 is everything outside the brain mask. Of the field
"head", as the authors' figure shows it: every pixel of the slice, the air too, in clusters that are
no tissues, 1 dark, 2 middle, 3 bright in whatever modality the target is.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_json
from lmidiff.common.regions import BRAIN, CLUSTERS, HEAD, TISSUES
from lmidiff.common.seeds import generator_of, seed_of

NAMES = {BRAIN: TISSUES, HEAD: CLUSTERS}
"""Names of labels 1, 2, 3 by the field of the segmenter."""

BY_BRIGHTNESS = {"T1w": (1, 2, 3), "PDw": (3, 2, 1), "T2w": (3, 2, 1), "FLAIR": (1, 3, 2)}
"""Labels from the darkest tissue to the brightest, by modality."""

LEAST_WHITE = 0.06
"""Less white matter than this share of the brain is doubted. With the centres of a T1w, ten real
T1w had .09 and more of it, three T2w .02 to .04."""

MAX_VOXELS = 200_000
"""More voxels than this are subsampled: three centres of one number each need no more."""


@dataclass(frozen=True)
class KMeansModel:
    """A fitted segmenter.

    Attributes:
        centres: cluster centres in image intensities (0..1), strictly rising.
        voxels: how many voxels it was fitted on, after subsampling.
        seed: the seed given to :func:`fit_kmeans`.
        labels: of the centres, each of 1..K once; 1, 2, .. K if not given.
        field: "brain", or "head" for clusters of whole slices.
        images: what the images it was fitted on show, "brain" or "head": their scale.
    """

    centres: tuple[float, ...]
    voxels: int
    seed: int
    labels: tuple[int, ...] = ()
    field: str = BRAIN
    images: str = BRAIN

    def __post_init__(self) -> None:
        if not self.labels:
            object.__setattr__(self, "labels", tuple(range(1, len(self.centres) + 1)))
        for name in (self.field, self.images):
            if name not in NAMES:
                raise StudyError(f"K-Means model: {name!r} is none of {', '.join(NAMES)}")
        if sorted(self.labels) != list(range(1, len(self.centres) + 1)):
            raise StudyError(
                f"K-Means model: labels {list(self.labels)} for {len(self.centres)} centres"
            )
        centres = np.asarray(self.centres, dtype=float)
        if centres.ndim != 1 or not 2 <= centres.size <= 255:
            raise StudyError(f"K-Means model: needs 2 to 255 centres, has {centres.size}")
        if not np.isfinite(centres).all() or (np.diff(centres) <= 0).any():
            raise StudyError(f"K-Means model: centres {list(self.centres)} do not rise strictly")

    def save(self, path: str | Path) -> None:
        """Write the model as JSON."""
        content = {"model": "kmeans", **asdict(self)}
        for name in ("field", "images"):
            if content[name] == BRAIN:
                del content[name]  # as it was written before there were fields
        write_json(path, content)

    @classmethod
    def load(cls, path: str | Path) -> "KMeansModel":
        """Read a model that :meth:`save` wrote.

        Raises:
            StudyError: the file is missing, is no JSON, or does not describe a valid model.
        """
        try:
            content = json.loads(Path(path).read_text())
            labels = content.pop("labels", ())
            fields = {name: content.pop(name, BRAIN) for name in ("field", "images")}
            if content.pop("model") != "kmeans" or set(content) != {"centres", "voxels", "seed"}:
                raise ValueError("unknown keys")
            if not isinstance(content["centres"], list):
                raise ValueError("centres is no list")
            centres = tuple(float(centre) for centre in content["centres"])
            if not all(0 <= centre <= 1 for centre in centres):
                raise ValueError(f"centres {list(centres)} are not within 0..1, as images are")
            named = tuple(int(label) for label in labels)
            model = cls(centres, int(content["voxels"]), int(content["seed"]), named, **fields)
        except OSError as error:
            raise StudyError(f"{path}: cannot be read ({error.strerror})") from error
        except StudyError as error:
            raise StudyError(f"{path}: {error}") from error
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            raise StudyError(f"{path}: not a K-Means model ({error})") from error
        return model


def fit_kmeans(
    values: NDArray[np.floating],
    *,
    clusters: int = 3,
    seed: int,
    modality: str = "T1w",
    field: str = BRAIN,
    images: str = BRAIN,
) -> KMeansModel:
    """Fit K-Means (Lloyd, k-means++, the best of 10 starts) to intensities.

    Args:
        values: (N,) intensities of target *training* images, 0..1, pooled over subjects: of their
            brain voxels, or of all voxels if the field is the head. More than :data:`MAX_VOXELS`
            are subsampled without replacement.
        clusters: number of tissues.
        seed: draws the subsample and the starts; the same seed gives the same centres.
        modality: whose images these are: three clusters get the labels of :data:`BY_BRIGHTNESS`,
            another number, or another modality, labels by rising intensity.
        field: "brain", or "head", whose labels rise with intensity in every modality.
        images: what the images show, "brain" or "head".

    Raises:
        StudyError: values are not 1-D or not finite, or hold fewer distinct values than clusters.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise StudyError(f"K-Means: needs a list of voxels, got an array of shape {values.shape}")
    if not np.isfinite(values).all():
        raise StudyError("K-Means: the training images hold values that are not finite")
    if values.size > MAX_VOXELS:
        chosen = generator_of(seed, "kmeans", "voxels").choice(
            values.size, MAX_VOXELS, replace=False, shuffle=False
        )
        values = values[np.sort(chosen)]
    if np.unique(values).size < clusters:
        raise StudyError(f"K-Means: fewer distinct brain intensities than {clusters} clusters")

    # Imported here, because only the fit needs it and it takes seconds to load.
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # One thread: the order of a parallel sum depends on the machine, and so would the last digits.
    with threadpool_limits(limits=1):
        fitted = KMeans(
            n_clusters=clusters, n_init=10, random_state=seed_of(seed, "kmeans") % 2**32
        ).fit(values[:, None])
    centres = np.sort(fitted.cluster_centers_[:, 0])
    tissues = clusters == len(TISSUES) and field == BRAIN
    labels = BY_BRIGHTNESS.get(modality, ()) if tissues else ()
    rising = tuple(float(centre) for centre in centres)
    return KMeansModel(rising, int(values.size), seed, labels, field, images)


def segment(
    model: KMeansModel, image: NDArray[np.floating], mask: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Label voxels by their nearest centre; a tie goes to the darker tissue.

    Args:
        model: of the brain, labels the voxels of the mask; of the head, all voxels.
        image: any shape, intensities on the scale of the training images (0..1).
        mask: same shape; non-zero is brain.

    Returns:
        uint8 labels of the same shape: the model's, 1..K, where it labels, 0 elsewhere.

    Raises:
        StudyError: shapes differ, or the image is not finite inside the mask.
    """
    image, inside = np.asarray(image), np.asarray(mask) > 0
    if image.shape != inside.shape:
        raise StudyError(f"segmentation: image {image.shape} and mask {inside.shape} differ")
    if model.field == HEAD:
        inside = np.ones_like(inside)
    values = image[inside].astype(np.float64)
    if not np.isfinite(values).all():
        raise StudyError("segmentation: the image is not finite inside the mask")
    centres = np.asarray(model.centres)
    labels = np.zeros(image.shape, dtype=np.uint8)
    # In one dimension the nearest centre is found by the midpoints between neighbours.
    nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, values, side="left")
    labels[inside] = np.asarray(model.labels, dtype=np.uint8)[nearest]
    return labels


def white_share(labels: NDArray[np.integer]) -> float:
    """Share of white matter among the labels of a brain, (X, Y, Z); 0 outside the brain."""
    return float((labels == len(TISSUES)).sum() / max((labels > 0).sum(), 1))


def lies_as_tissue(labels: NDArray[np.integer], voxel_mm: NDArray[np.floating]) -> bool:
    """Whether labels lie as tissues do: white matter deeper in the brain than grey, and than fluid.

    Brightness misleads in another modality: in a T2w the fluid is brightest, and it lies outside.

    Args:
        labels: (X, Y, Z), 0 outside the brain, else 1 CSF, 2 GM, 3 WM.
        voxel_mm: (3,) edges.
    """
    padded = np.pad(labels > 0, 1)
    depth = ndimage.distance_transform_edt(padded, sampling=voxel_mm)[1:-1, 1:-1, 1:-1]
    mean = [float(depth[labels == k].mean()) if (labels == k).any() else 0.0 for k in (1, 2, 3)]
    return mean[2] > mean[1] and mean[2] > mean[0]
