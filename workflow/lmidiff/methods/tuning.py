"""Choosing a method's settings without one image of a source.

A source that nobody has seen has no validation pairs. What stands in for it are the target images
of validation subjects in random contrasts: their truth is known, and no test subject and no
image of a source is read.
"""

import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lmidiff.common.seeds import seed_of
from lmidiff.data.slices import load_stack, save_stack, subject_of
from lmidiff.data.volumes import read_array
from lmidiff.images.contrast import ContrastSettings
from lmidiff.images.recontrast import in_another_contrast
from lmidiff.images.similarity import ssim_map
from lmidiff.methods.base import Method
from lmidiff.methods.settings import CONTRASTS
from lmidiff.methods.translation import translate_batches


def tune(
    build: Callable[[Mapping[str, Any]], Method],
    grid: Mapping[str, Sequence[Any]],
    targets: Sequence[str],
    masks: Sequence[str],
    contrast: ContrastSettings,
    *,
    seed: int,
    batch_size: int,
    device: torch.device,
    what: str,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Try every combination of ``grid`` on validation subjects.

    Args:
        build: settings to a method ready to translate.
        grid: setting to the values to try.
        targets: the subjects' target volumes.
        masks: their brain masks, in the same order.
        contrast: how far the contrasts of the images that are translated go.
        seed: the study's; with subject and number it draws a contrast, one a subject.
        batch_size: slices translated at once.
        device: where to translate.
        what: names the work in messages.

    Returns:
        A table with a column per setting and the mean brain SSIM over all subjects and contrasts,
        and the best settings; the first of equals wins.
    """
    truth = torch.cat([load_stack(path) for path in targets] * CONTRASTS)
    brain = [torch.from_numpy(read_array(path)).permute(2, 0, 1) > 0 for path in masks]
    inside = torch.cat(brain * CONTRASTS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        shown = [
            _in_another_contrast(path, contrast, seed, number, Path(folder))
            for number in range(CONTRASTS)
            for path in targets
        ]
        for values in itertools.product(*grid.values()):
            settings = dict(zip(grid, values, strict=True))
            text = ", ".join(f"{key} {value}" for key, value in settings.items())
            method = build(settings)
            images = [
                result.image
                for path in shown  # one by one, as a subject is shown more than once
                for _, _, result in translate_batches(
                    method, [path], batch_size, device, f"{what}, {text}"
                )
            ]
            rows.append({**settings, "brain_ssim": _brain_ssim(torch.cat(images), truth, inside)})
    table = pd.DataFrame(rows)
    best = rows[int(table["brain_ssim"].argmax())]
    return table, {key: best[key] for key in grid}


def _in_another_contrast(
    path: str, contrast: ContrastSettings, seed: int, number: int, folder: Path
) -> str:
    """A target volume in a random contrast, the same for all its slices."""
    stack, subject = load_stack(path), subject_of(path)
    generator = torch.Generator().manual_seed(seed_of(seed, subject, "tuning", number))
    shown = in_another_contrast(stack, generator, contrast)
    written = folder / str(number) / f"{subject}_contrast.nii.gz"
    written.parent.mkdir(exist_ok=True)
    save_stack(written, shown, path)
    return str(written)


def _brain_ssim(images: Tensor, truth: Tensor, brain: Tensor) -> float:
    maps = ssim_map(*(stack[:, 0].permute(1, 2, 0).numpy() for stack in (images, truth)))
    return float(maps[brain.permute(1, 2, 0).numpy()].mean())
