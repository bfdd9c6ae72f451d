"""The sampler by itself: an array in, an array out. The network is untrained, so is the picture.

python examples/translate_array.py
"""

import torch
from torch import Tensor, nn

from lmidiff import Guidance, GuidedDenoiser, Sampling, Schedule, draw


class Network(nn.Module):
    """Any module that maps a sample, its condition and its time to the velocity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2 + channels, 16, 3, padding=1), nn.SiLU(), nn.Conv2d(16, 1, 3, padding=1)
        )

    def forward(self, x: Tensor, condition: Tensor, times: Tensor) -> Tensor:
        """(N, 1, H, W), (N, channels, H, W) and (N,) to (N, 1, H, W)."""
        clock = (times / 1000).view(-1, 1, 1, 1).expand_as(x)
        return self.layers(torch.cat([x, condition, clock], 1))


def translate(source: Tensor, seed: int = 1) -> Tensor:
    """Slices (N, 1, H, W) in 0..1 of any modality to the mean of four draws of the target."""
    torch.manual_seed(seed)
    guidance, schedule, sampling = Guidance(), Schedule.linear(), Sampling(steps=8, draws=4)
    denoise = GuidedDenoiser(Network(guidance.channels), schedule, guidance, source)
    seeds = [[100 * n + k for k in range(len(source))] for n in range(sampling.draws)]
    with torch.no_grad():
        return draw(schedule, denoise, sampling, seeds, source.shape[1:])[0]


if __name__ == "__main__":
    image = translate(torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)))
    print(f"{tuple(image.shape)} in {image.min():.2f}..{image.max():.2f}")
