"""Volumes on the study grid as stacks of axial slices for torch."""

import re
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import torch

from lmidiff.common.errors import StudyError
from lmidiff.data.nifti import write_nifti
from lmidiff.data.volumes import read_array

_FILE_SUBJECT = re.compile(r"(sub-[A-Za-z0-9]+)_")


def subject_of(path: str | Path) -> str:
    """The subject in a file name such as ``sub-01_T1w.nii.gz``: ``sub-01``.

    Raises:
        StudyError: the name does not start so.
    """
    found = _FILE_SUBJECT.match(Path(path).name)
    if not found:
        raise StudyError(f"{path}: the file name names no subject; call it sub-XX_modality.nii.gz")
    return found[1]


def load_stack(path: str | Path) -> torch.Tensor:
    """One volume as slices: (Z, 1, X, Y) float32 with ``stack[z, 0] == array[:, :, z]``.

    Raises:
        StudyError: the file is missing, damaged, not 3-D NIfTI, or not finite.
    """
    return torch.from_numpy(read_array(path)).permute(2, 0, 1).unsqueeze(1).contiguous()


def load_slices(paths: Sequence[str | Path]) -> tuple[torch.Tensor, list[tuple[str, int]]]:
    """The slices of several volumes, one after the other.

    Args:
        paths: at least one file ``sub-XX_...``, all of one in-plane size; slice counts may differ.

    Returns:
        (N, 1, S, S) float32, and for each of the N its subject and its slice number from 0.

    Raises:
        StudyError: no path, a name without a subject, an unreadable file, differing sizes.
    """
    if not paths:
        raise StudyError("there is no volume to take slices from; check the split has subjects")
    stacks: list[torch.Tensor] = []
    index: list[tuple[str, int]] = []
    for path in paths:
        stack = load_stack(path)
        if stacks and stack.shape[1:] != stacks[0].shape[1:]:
            raise StudyError(
                f"{path}: slices are {tuple(stack.shape[2:])}, those of {paths[0]} "
                f"{tuple(stacks[0].shape[2:])}; preprocess both on one grid"
            )
        subject = subject_of(path)
        stacks.append(stack)
        index += [(subject, z) for z in range(len(stack))]
    return torch.cat(stacks), index


def save_stack(path: str | Path, stack: torch.Tensor, reference: str | Path) -> None:
    """Write slices as a NIfTI volume that lies in the world where ``reference`` lies.

    Args:
        path: the NIfTI to write, atomically; float32.
        stack: (Z, 1, X, Y), any device, finite; the inverse of :func:`load_stack`.
        reference: the NIfTI whose affine is taken, of shape (X, Y, Z).

    Raises:
        StudyError: the shapes differ, the stack is not finite, or a file cannot be read or written.
    """
    expected = tuple(read_array(reference).shape)
    if stack.ndim != 4 or stack.shape[1] != 1:
        raise StudyError(f"{path}: a stack has shape (Z, 1, X, Y), this one {tuple(stack.shape)}")
    array = stack.detach()[:, 0].permute(1, 2, 0).to("cpu", torch.float32)
    if tuple(array.shape) != expected:
        raise StudyError(
            f"{path}: the stack makes a volume of {tuple(array.shape)}, {reference} is {expected}; "
            "give the volume that was translated"
        )
    if not bool(torch.isfinite(array).all()):
        raise StudyError(f"{path}: the stack holds NaN or infinite values; nothing was written")
    write_nifti(path, array.numpy(), nib.load(reference).affine)
