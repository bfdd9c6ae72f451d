"""Sampling trajectories with and without guidance, in a plane: what Figure 1 is drawn from.

One slice of the source is followed by two samplers that start from the same noise: an
unconditional model of the target, and a model guided by the LMI maps of that slice. The plane is
spanned by the first two principal components of the target slices and the source slices together;
every sample x_t is shown where it lies in that plane, as an intensity image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor

from lmidiff.common.seeds import seed_of
from lmidiff.common.settings import settings_of
from lmidiff.data.slices import load_slices
from lmidiff.diffusion import SliceNoise
from lmidiff.guidance import lmi_maps
from lmidiff.models import diffusion
from lmidiff.models.diffusion import DiffusionModel
from lmidiff.models.weights import read_weights
from lmidiff.options import Sampling
from lmidiff.sampler import path

GUIDED, UNGUIDED = "guided", "unguided"
POINTS = ("kind", "draw", "step", "time", "pc1", "pc2")


@dataclass(frozen=True)
class Plane:
    """A two-dimensional projection of slices.

    Attributes:
        mean: (P,) of all slices the plane was fitted to.
        axes: (2, P), orthonormal.
        explained: (2,) share of the variance along each axis.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    explained: NDArray[np.float64]

    @classmethod
    def of(cls, slices: NDArray[np.floating]) -> "Plane":
        """Fit to slices (N, H, W), N at least 3, by principal components."""
        flat = slices.reshape(len(slices), -1).astype(np.float64)
        fitted = PCA(n_components=2, svd_solver="full").fit(flat)
        return cls(fitted.mean_, fitted.components_, fitted.explained_variance_ratio_)

    def project(self, slices: NDArray[np.floating]) -> NDArray[np.float64]:
        """Slices (N, H, W) to points (N, 2), in units of intensity times root pixels."""
        flat = slices.reshape(len(slices), -1).astype(np.float64)
        return (flat - self.mean) @ self.axes.T


@torch.no_grad()
def sample_paths(
    model: DiffusionModel,
    source: Tensor,
    slice_id: tuple[str, int],
    settings: Sampling,
    seed: int,
) -> tuple[NDArray[np.float32], list[int]]:
    """Every step of several draws for one source slice.

    Args:
        model: guided by ``source`` as its own condition says; an unconditional one ignores it.
        source: (1, 1, H, W) in 0..1, on the model's device.
        slice_id: subject and slice; with ``seed`` and the number of the draw they seed the noise,
            as in translation, so two models start from the same noise.
        settings: as in translation.

    Returns:
        (steps + 1, draws, H, W) samples x_t as intensities, pure noise first, and the time that
        each of them is at (-1 is clean).
    """
    sources = source.expand(settings.draws, -1, -1, -1)
    noise = SliceNoise([seed_of(seed, *slice_id, n) for n in range(settings.draws)], source.device)
    denoise = model.denoiser(sources, settings.precision)
    steps = list(path(model.schedule, denoise, settings, noise, source.shape[1:]))
    images = torch.stack([model.to_image(step.x)[:, 0] for step in steps])
    return images.cpu().numpy(), [step.t for step in steps]


def points_of(
    plane: Plane,
    clouds: Mapping[str, NDArray[np.floating]],
    paths: Mapping[str, tuple[NDArray[np.floating], Sequence[int]]],
) -> pd.DataFrame:
    """Everything Figure 1 draws in the plane, ``POINTS``.

    Args:
        clouds: name -> slices (N, H, W): rows with neither draw, step nor time (all -1).
        paths: name -> what :func:`sample_paths` gave.
    """
    rows = []
    for kind, slices in clouds.items():
        rows += [(kind, -1, -1, -1, *point) for point in plane.project(slices)]
    for kind, (taken, times) in paths.items():
        for step, (samples, time) in enumerate(zip(taken, times, strict=True)):
            for draw, point in enumerate(plane.project(samples)):
                rows.append((kind, draw, step, time, *point))
    return pd.DataFrame(rows, columns=list(POINTS)).round(5)


def lmi_along(
    model: DiffusionModel,
    source: Tensor,
    path: NDArray[np.floating],
    shown: Sequence[int],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The maps the guided model is given on its way.

    Args:
        source: (1, 1, H, W) in 0..1.
        path: (steps + 1, H, W) one draw as intensities.
        shown: the steps wanted.

    Returns:
        LMI(y, x_t) at those steps, (len(shown), H, W), and LMI(y, y), (H, W), of the model's first
        bandwidth; NMI (0..1) or MI (bits), as the model's condition has it.
    """
    samples = torch.as_tensor(path[list(shown)]).unsqueeze(1).to(source)
    cross = lmi_maps(source.expand_as(samples), samples, model.guidance)[:, 0]
    own = lmi_maps(source, source, model.guidance)[0, 0]
    return cross.cpu().numpy(), own.cpu().numpy()


def spaced(steps: int, count: int) -> list[int]:
    """``count`` steps from the first (noise) to the last (clean), evenly spaced, none twice."""
    return sorted({round(float(n)) for n in np.linspace(0, steps, count)})


def trace(
    models: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, str],
    volumes: Mapping[str, Sequence[str]],
    settings: Mapping[str, Any],
    seed: int,
    device: torch.device,
) -> tuple[pd.DataFrame, dict[str, NDArray], dict[str, Any]]:
    """Follow both samplers for one slice of the first source volume.

    Args:
        models: ``GUIDED`` and ``UNGUIDED`` -> the model's settings.
        weights: the same keys -> safetensors file.
        volumes: ``source`` and ``target`` -> volumes of the same subjects in the same order.
        settings: ``sampling``, of which :class:`Sampling` are made, ``slice`` (share of the
            volume), ``shown`` (how many steps get pictures) and ``names``, the printed name of each
            model.
        seed: the study's.
        device: where to sample.

    Returns:
        The points (``POINTS``), the pictures by key and their index, for
        :func:`lmidiff.evaluation.pictures.write_pictures`.
    """
    (source, ids), (truth, _) = (load_slices(volumes[kind]) for kind in ("source", "target"))
    depth = sum(subject == ids[0][0] for subject, _ in ids)
    z = min(int(settings["slice"] * depth), depth - 1)
    one = source[z : z + 1].to(device)
    plane = Plane.of(torch.cat([truth, source])[:, 0].numpy())
    sampling = settings_of(Sampling, settings["sampling"], "sampling")
    paths, loaded = {}, {}
    for kind in (GUIDED, UNGUIDED):
        loaded[kind] = diffusion.load(models[kind], read_weights(Path(weights[kind])), device)
        paths[kind] = sample_paths(loaded[kind], one, ids[z], sampling, seed)
    clouds = {"target": truth[:, 0], "source": source[:, 0]}
    clouds |= {"this source": source[z], "its truth": truth[z]}
    points = points_of(plane, {name: cloud.numpy() for name, cloud in clouds.items()}, paths)

    taken, times = paths[GUIDED]
    shown = spaced(len(times) - 1, settings["shown"])
    cross, own = lmi_along(loaded[GUIDED], one, taken[:, 0], shown)
    largest = float(max(cross.max(), own.max()))
    pictures: dict[str, NDArray] = {"source": one[0, 0].cpu().numpy(), "truth": truth[z, 0].numpy()}
    pictures["self"] = own / largest
    for number, step in enumerate(shown):
        pictures[f"cross/{number}"] = cross[number] / largest
        for kind in (GUIDED, UNGUIDED):
            pictures[f"{kind}/{number}"] = paths[kind][0][step, 0]
    index = {
        "subject": ids[z][0],
        "slice": z,
        "steps": [{"step": step, "time": times[step]} for step in shown],
        "largest_lmi": round(largest, 5),
        "normalized": loaded[GUIDED].guidance.normalized,
        "condition": loaded[GUIDED].guidance.condition,
        "explained": [round(float(share), 5) for share in plane.explained],
        "names": dict(settings["names"]),
    }
    return points, pictures, index
