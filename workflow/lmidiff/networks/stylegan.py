"""The networks of StyleGAN2 (Karras et al., CVPR 2020, arXiv 1912.04958), for one channel.

Kept from the paper: equalised learning rates (appendix B), the mapping network with a slow rate,
modulation and demodulation of the convolution weights (equations 1 and 3), per-layer noise with a
learned strength, the [1, 3, 3, 1] low-pass filter at every change of resolution, the generator
with output skips and the residual discriminator (figure 7), the minibatch standard deviation.

Departures, all for small images: few channels; the coarsest level has the image's size divided by
2^(levels - 1), 4 px for five levels at 64 px; and the convolutions use shared weights between two
scalings of the features, which is the same function as a grouped convolution with one modulated
weight a sample (tests compare the two) at less memory.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE, GAIN = 0.2, math.sqrt(2)
LAYOUT = torch.channels_last
"""Of feature maps in memory; on a CPU the same convolutions take a fraction of the time."""


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU; GAIN in front of its input keeps the variance of a normal one."""
    return F.leaky_relu(x, SLOPE)


def low_pass(x: Tensor, padding: int, gain: float = 1.0) -> Tensor:
    """Zero-padded [1, 3, 3, 1] / 8 filter of (N, C, H, W), 3 px less a side than padded."""
    taps = x.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (gain * torch.outer(taps, taps)).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel.contiguous(), padding=padding, groups=x.shape[1])


def upsample(image: Tensor) -> Tensor:
    """Twice the size of (N, 1, H, W): zeros between the pixels, then the filter."""
    taps = image.new_tensor([1.0, 3.0, 3.0, 1.0]) / 4
    return F.conv_transpose2d(image, torch.outer(taps, taps)[None, None], stride=2, padding=1)


def modulated_conv(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    demodulate: bool = True,
    up: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """Convolution with weights scaled by a style and brought back to unit norm (eqs. 1 and 3).

    Args:
        x: (N, C, H, W).
        weight: (D, C, K, K), K odd.
        style: (N, C), a factor for each input channel.
        demodulate: divide by the norm of the modulated weights of each output channel.
        up: also double the size: transposed convolution, then the low-pass filter.
        gain: a factor of the result, if demodulated.

    Returns:
        (N, D, H, W), or (N, D, 2H, 2W).
    """
    out = x * style[:, :, None, None]
    if up:
        out = F.conv_transpose2d(out, weight.transpose(0, 1).contiguous(), stride=2)
        out = low_pass(out, padding=1, gain=4.0)
    else:
        out = F.conv2d(out, weight, padding=weight.shape[-1] // 2)
    if demodulate:
        energy = style.square() @ weight.square().sum((2, 3)).t()
        out = out * (gain * torch.rsqrt(energy + 1e-8))[:, :, None, None]
    return out


def shifted(images: Tensor, by: Tensor) -> Tensor:
    """Images (N, 1, H, W) in -1..1, each moved by its row of ``by``, (N, 2) in pixels, into air."""
    reach = int(by.abs().max())
    padded = F.pad(images, (reach,) * 4, value=-1.0)
    height, width = images.shape[-2:]
    moved = [
        each[:, reach - down : reach - down + height, reach - right : reach - right + width]
        for each, (down, right) in zip(padded, by.tolist(), strict=True)
    ]
    return torch.stack(moved)


def minibatch_std(x: Tensor, group: int) -> Tensor:
    """Append the mean standard deviation inside a group of samples as one more channel.

    Args:
        x: (N, C, H, W); groups are of the largest divisor of N that is at most ``group``, and
            sample i shares one with i + N / size.

    Returns:
        (N, C + 1, H, W).
    """
    count, _, height, width = x.shape
    size = max(d for d in range(1, min(group, count) + 1) if count % d == 0)
    grouped = x.reshape(size, count // size, -1)
    spread = (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean(1)
    return torch.cat([x, spread.repeat(size).view(-1, 1, 1, 1).expand(-1, 1, height, width)], 1)


class Linear(nn.Module):
    """A fully connected layer whose weights are scaled at run time (equalised learning rate)."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs)."""
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class Conv(nn.Module):
    """An equalised convolution of the discriminator; ``down`` filters and halves the size.

    With ``bias`` the activation follows, and its gain is in the weights.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, down: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.down = (GAIN if bias else 1) / math.sqrt(inputs * kernel**2), down

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W) or (N, outputs, H / 2, W / 2)."""
        weight, half = self.weight * self.scale, self.weight.shape[-1] // 2
        bias = None if self.bias is None else self.bias * GAIN
        if self.down:
            x = F.conv2d(low_pass(x, padding=1 + half), weight, bias, stride=2)
        else:
            x = F.conv2d(x, weight, bias, padding=half)
        return x if bias is None else activate(x)


class StyledConv(nn.Module):
    """Style, modulated convolution, noise, bias, activation (figure 2c)."""

    def __init__(self, inputs: int, outputs: int, latent: int, up: bool = False) -> None:
        super().__init__()
        self.style = Linear(latent, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))
        self.strength = nn.Parameter(torch.zeros(()))
        self.scale, self.up = 1 / math.sqrt(9 * inputs), up

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """Features (N, C, H, W), codes (N, latent), noise (N, 1, H', W') to (N, D, H', W')."""
        weight, style = self.weight * self.scale, self.style(w)
        x = modulated_conv(x, weight, style, up=self.up, gain=GAIN)
        return activate(x + (GAIN * self.strength) * noise + GAIN * self.bias)


class ToImage(nn.Module):
    """The 1 x 1 convolution to the image, modulated and not demodulated."""

    def __init__(self, inputs: int, latent: int) -> None:
        super().__init__()
        self.style = Linear(latent, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(1, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(()))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, C, H, W) and (N, latent) to (N, 1, H, W)."""
        style = self.style(w)
        return modulated_conv(x, self.weight * self.scale, style, demodulate=False) + self.bias


class Generator(nn.Module):
    """Latents to images.

    Args:
        channels: features of each level, coarsest first; each level doubles the size.
        base: (height, width) of the coarsest level in pixels.
        latent: numbers in z and in w.
        layers: of the mapping network.
        rate: the mapping network's learning rate as a share of the others'.
    """

    def __init__(
        self, channels: Sequence[int], base: Sequence[int], latent: int, layers: int, rate: float
    ) -> None:
        super().__init__()
        self.latent, self.base = latent, tuple(base)
        self.mapping = nn.ModuleList(Linear(latent, latent, rate=rate) for _ in range(layers))
        self.constant = nn.Parameter(torch.randn(1, channels[0], *base))
        self.convs = nn.ModuleList([StyledConv(channels[0], channels[0], latent)])
        self.to_image = nn.ModuleList([ToImage(channels[0], latent)])
        for before, here in pairwise(channels):
            self.convs.append(StyledConv(before, here, latent, up=True))
            self.convs.append(StyledConv(here, here, latent))
            self.to_image.append(ToImage(here, latent))

    @property
    def codes(self) -> int:
        """Length of W+: one code a convolution, and one for the last image layer."""
        return len(self.convs) + 1

    @property
    def noise_shapes(self) -> list[tuple[int, int, int]]:
        """Shape (1, H, W) of the noise of each convolution."""
        height, width = self.base
        levels = [(n + 1) // 2 for n in range(len(self.convs))]
        return [(1, height << level, width << level) for level in levels]

    def map(self, z: Tensor) -> Tensor:
        """z (N, latent), normal, to w (N, latent)."""
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            w = activate(GAIN * layer(w))
        return w

    def forward(self, w: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """Codes (N, codes, latent) and noise maps to images (N, 1, H, W), unbounded."""
        x = self.constant.expand(len(w), -1, -1, -1).contiguous(memory_format=LAYOUT)
        x = self.convs[0](x, w[:, 0], noise[0])
        image = self.to_image[0](x, w[:, 1])
        for level in range(1, len(self.to_image)):
            first = 2 * level - 1
            x = self.convs[first](x, w[:, first], noise[first])
            x = self.convs[first + 1](x, w[:, first + 1], noise[first + 1])
            image = upsample(image) + self.to_image[level](x, w[:, first + 2])
        return image


class Discriminator(nn.Module):
    """Images to realness: residual blocks, minibatch standard deviation, two dense layers.

    Args:
        channels: features of each level, coarsest first, as the generator's.
        base: (height, width) of the coarsest level in pixels.
        group: samples whose standard deviation is taken together.
    """

    def __init__(self, channels: Sequence[int], base: Sequence[int], group: int) -> None:
        super().__init__()
        finest, coarsest, self.group = channels[-1], channels[0], group
        self.from_image = Conv(1, finest, 1)
        self.blocks = nn.ModuleList(
            Block(fine, coarse)
            for fine, coarse in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.last = Conv(coarsest + 1, coarsest, 3)
        self.dense = Linear(coarsest * base[0] * base[1], coarsest)
        self.score = Linear(coarsest, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) to logits (N,)."""
        x = self.from_image(images).contiguous(memory_format=LAYOUT)
        for block in self.blocks:
            x = block(x)
        x = self.last(minibatch_std(x, self.group))
        return self.score(activate(GAIN * self.dense(x.flatten(1))))[:, 0]


class Block(nn.Module):
    """A residual block of the discriminator that halves the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = Conv(inputs, inputs, 3), Conv(inputs, outputs, 3, down=True)
        self.skip = Conv(inputs, outputs, 1, down=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
        return (self.second(self.first(x)) + self.skip(x)) / math.sqrt(2)
