"""The regularisers of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958): R1 and path length."""

import torch
from torch import Tensor, nn


def r1_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """Mean squared norm of the gradient of D at real images, (N, 1, H, W), over two.

    Mescheder et al. 2018, equation 9, without gamma.
    """
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean() / 2


def path_lengths(images: Tensor, w: Tensor, noise: Tensor) -> Tensor:
    """||J_w^T y|| of each image, the root mean square over the codes of W+ (equation 4).

    Args:
        images: (N, 1, H, W), computed from ``w``.
        w: (N, codes, latent).
        noise: standard normal, as ``images``; y is this over the square root of H W.
    """
    y = noise / (images.shape[-1] * images.shape[-2]) ** 0.5
    (gradient,) = torch.autograd.grad((images * y).sum(), w, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()
