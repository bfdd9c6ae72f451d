"""Checks that every family makes: the size of images, and whether weights fit the network."""

from collections.abc import Mapping

from torch import Tensor, nn

from lmidiff.common.errors import StudyError


def check_size(images: Tensor, multiple: int) -> None:
    """Raise StudyError unless height and width of (N, C, H, W) are multiples of ``multiple``."""
    for pixels in images.shape[-2:]:
        if pixels % multiple:
            raise StudyError(
                f"config: image_size {pixels} is not a multiple of {multiple}, "
                "which the network's levels need"
            )


def fill(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights and freeze the network for use; raises StudyError if they do not fit."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise StudyError(f"weights do not fit the model's config: {reason}") from error
    network.eval().requires_grad_(False)
