"""What a model makes while it is trained: pictures at a few moments, kept in the state folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lmidiff.common.files import atomic

MOMENTS = 5
"""Pictures a training, the last one at its end."""
COUNT = 3
"""Images a picture."""


class Previews:
    """Takes the pictures of a training.

    A picture depends on the averaged weights alone, so that a resumed run takes the same ones, and
    one that was taken before a kill is simply taken again.

    Args:
        folder: the state folder.
        steps: the training's length.
        show: gives (COUNT, 1, H, W) in 0..1 by the network as it is; None takes no pictures.
    """

    def __init__(self, folder: Path, steps: int, show: Callable[[], Tensor] | None) -> None:
        self.folder, self.show = folder / "previews", show
        self.moments = {max(round(steps * part / MOMENTS), 1) for part in range(1, MOMENTS + 1)}

    def take(self, step: int, network: nn.Module, average: Mapping[str, Tensor]) -> None:
        """Take a picture with the averaged weights if ``step`` is one of the moments."""
        if self.show is None or step not in self.moments:
            return
        own = {name: value.detach().clone() for name, value in network.state_dict().items()}
        mode = network.training
        network.load_state_dict(average)
        network.eval()
        with torch.no_grad():
            images = self.show().float().clamp(0, 1).mul(255).round().byte().cpu().numpy()
        network.load_state_dict(own)
        network.train(mode)
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic(self.folder / f"{step:08d}.npy") as temporary, open(temporary, "wb") as file:
            np.save(file, images[:, 0])


def write_previews(state: Path, output: str | Path) -> None:
    """Gather a training's pictures in one npz: ``steps`` (S,) and ``images`` (S, COUNT, H, W).

    uint8, 0..255. Both are empty for a model that takes none.
    """
    files = sorted((state / "previews").glob("*.npy"))
    images = [np.load(file, allow_pickle=False) for file in files]
    steps = np.array([int(file.stem) for file in files])
    with atomic(Path(output)) as temporary, open(temporary, "wb") as file:
        np.savez(file, steps=steps, images=np.stack(images) if images else np.zeros((0, 0, 0, 0)))
