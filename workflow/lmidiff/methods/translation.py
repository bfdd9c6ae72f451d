"""Translating volumes: batches of whole subjects in, NIfTI volumes out.

The preprocessed source is 0 outside its brain mask, so every method's output is set to 0 there:
no method gains or loses by what it leaves in the air.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic_folder
from lmidiff.common.progress import Progress
from lmidiff.data.slices import load_slices, load_stack, save_stack, subject_of
from lmidiff.methods.base import Ceiling, Method, SliceId, Translation


@torch.no_grad()
def translate_batches(
    method: Method,
    paths: Sequence[str],
    batch_size: int,
    device: torch.device,
    what: str,
    answers: Sequence[str] = (),
) -> Iterator[tuple[list[str], list[SliceId], Translation]]:
    """Translate volumes, as many whole subjects at a time as ``batch_size`` slices allow.

    Args:
        method: ready to translate.
        paths: the source volumes.
        batch_size: slices.
        device: where to translate.
        what: names the work in messages.
        answers: the true target volumes, in the order of ``paths``, for a ceiling alone.

    Yields:
        The paths of a batch, the ids of its slices, and their translation on the CPU.
    """
    progress = Progress(f"translate {what}", len(paths))
    answer_of = dict(zip(paths, answers, strict=True)) if answers else {}
    for batch in _batches(paths, batch_size):
        source, ids = load_slices(batch)
        source = source.to(device)
        if isinstance(method, Ceiling):
            target, _ = load_slices([answer_of[path] for path in batch])
            result = method.answer(source, target.to(device), ids)
        else:
            result = method.translate(source, ids)
        air = source == 0
        image = result.image.masked_fill(air, 0).cpu()
        for row, (subject, number) in enumerate(ids):
            if not bool(torch.isfinite(image[row]).all()):
                raise StudyError(
                    f"{what}: the translation of {subject}, slice {number}, is not finite"
                )
        spread = None if result.spread is None else result.spread.masked_fill(air, 0).cpu()
        yield batch, ids, Translation(image.clamp(0, 1), spread)
        progress.step(count=len(batch))


def translate_volumes(
    method: Method,
    paths: Sequence[str],
    folder: Path,
    *,
    target: str,
    batch_size: int,
    device: torch.device,
    what: str,
    answers: Sequence[str] = (),
) -> None:
    """Translate volumes into ``folder``, which appears when all are done.

    Writes ``sub-XX_<target>.nii.gz`` (0..1) and, for methods that sample, the standard
    deviation over the draws as ``sub-XX_desc-std_<target>.nii.gz``, on the source's grid.
    """
    with atomic_folder(folder) as temporary:
        for batch, ids, result in translate_batches(
            method, paths, batch_size, device, what, answers
        ):
            subjects = np.array([subject for subject, _ in ids])
            for path in batch:
                rows = torch.from_numpy(subjects == subject_of(path))
                name = subject_of(path)
                save_stack(temporary / f"{name}_{target}.nii.gz", result.image[rows], path)
                if result.spread is not None:
                    spread = temporary / f"{name}_desc-std_{target}.nii.gz"
                    save_stack(spread, result.spread[rows], path)


def _batches(paths: Sequence[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    slices = 0
    for path in paths:
        depth = len(load_stack(path))
        if batch and slices + depth > size:
            yield batch
            batch, slices = [], 0
        batch.append(path)
        slices += depth
    if batch:
        yield batch
