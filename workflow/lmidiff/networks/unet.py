"""The networks, built from MONAI's blocks: one U-Net for denoising and for regression."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class UNetSettings:
    """Size of the U-Net.

    Attributes:
        channels: feature channels of each level, each a multiple of ``groups``.
        attention: whether each level has self-attention.
        res_blocks: residual blocks a level.
        unshuffle: factor by which pixels are folded into channels before the first level.
        groups: groups of the group normalisation.
        head_channels: channels of an attention head.
    """

    channels: tuple[int, ...] = (48, 96, 128)
    attention: tuple[bool, ...] = (False, False, True)
    res_blocks: int = 1
    unshuffle: int = 2
    groups: int = 16
    head_channels: int = 32


class UNet(nn.Module):
    """MONAI's diffusion U-Net on pixel-unshuffled input.

    Args:
        condition_channels: channels concatenated to the sample; 0 for an unconditional model.
        settings: see :class:`UNetSettings`.
        sample_channels: channels of the sample, 0 for a regression that sees only the condition.
    """

    def __init__(
        self, condition_channels: int, settings: UNetSettings, sample_channels: int = 1
    ) -> None:
        super().__init__()
        from monai.networks.nets import DiffusionModelUNet

        self.factor = settings.unshuffle
        fold = settings.unshuffle**2
        self.net = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=fold * (condition_channels + sample_channels),
            out_channels=fold,
            channels=settings.channels,
            attention_levels=settings.attention,
            num_res_blocks=settings.res_blocks,
            norm_num_groups=settings.groups,
            num_head_channels=settings.head_channels,
        )

    def drop(self, share: float) -> None:
        """Drop out features in training, before the second convolution of each residual block."""
        from monai.networks.nets.diffusion_model_unet import DiffusionUNetResnetBlock

        def dropped(layer: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
            return (nn.functional.dropout(given[0], share, layer.training),)

        for block in self.net.modules():
            if share > 0 and isinstance(block, DiffusionUNetResnetBlock):
                block.conv2.register_forward_pre_hook(dropped)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this many pixels."""
        return self.factor * 2 ** (len(self.net.block_out_channels) - 1)

    def forward(self, x: Tensor | None, condition: Tensor | None, t: Tensor) -> Tensor:
        """Predict for a sample (N, 1, H, W), condition (N, C, H, W) and times (N,)."""
        parts = [part for part in (x, condition) if part is not None]
        folded = nn.functional.pixel_unshuffle(torch.cat(parts, 1), self.factor)
        return nn.functional.pixel_shuffle(self.net(folded, t), self.factor)
