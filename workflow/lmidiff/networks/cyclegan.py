"""The networks of CycleGAN: a ResNet generator, a PatchGAN critic, and the pool of past images."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

NORMALISATIONS = ("instance", "images")
SMALL_START = 0.1
"""Factor on the first weights that end a residual block or the generator: images start near grey,
and blocks near the identity."""


class Generator(nn.Module):
    """Johnson et al.'s ResNet generator, as Zhu et al. 2017 (appendix 7.2) use it.

    c7s1-k, d2k (a level each), R (blocks), u (a level each), c7s1-1, with ReLU. Images are in 0..1
    and the last unit is a sigmoid, which is the paper's tanh on -1..1. Borders are padded with air.
    Air of the input is air of the output: a translation keeps the anatomy, and the critic then
    judges tissue.

    Args:
        channels: features of the first convolution; each level doubles them.
        levels: how often the resolution is halved; 2 in the paper, for images of 256 px.
        blocks: residual blocks at the lowest resolution.
        kernel: side of the first and the last convolution, odd; 7 in the paper.
        normalisation: ``instance``, of every layer's features, as in the paper; or ``images``, of
            the intensities that come in (:class:`Standardised`) and of nothing else.
    """

    def __init__(
        self,
        channels: int,
        levels: int,
        blocks: int,
        kernel: int = 7,
        normalisation: str = "instance",
    ) -> None:
        super().__init__()
        self.levels = levels
        instance, width = normalisation == "instance", channels
        self.view: nn.Module = nn.Identity() if instance else Standardised()
        first = nn.Conv2d(1 if instance else 2, width, kernel, padding=kernel // 2)
        layers: list[nn.Module] = [*_unit(first, instance)]
        for _ in range(levels):
            down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
            layers += _unit(down, instance)
            width *= 2
        layers += [ResidualBlock(width, instance) for _ in range(blocks)]
        for _ in range(levels):
            up = nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1)
            layers += _unit(up, instance)
            width //= 2
        last = nn.Conv2d(width, 1, kernel, padding=kernel // 2)
        self.net = nn.Sequential(*layers, last)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # Without normalisation the start has to keep the variance (He et al. 2015).
                if instance:
                    nn.init.normal_(module.weight, 0.0, 0.02)
                else:
                    nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)
        if not instance:
            blocks_end = [each.net[-1] for each in layers if isinstance(each, ResidualBlock)]
            for module in (*blocks_end, last):
                module.weight.data.mul_(SMALL_START)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this many pixels."""
        return 2**self.levels

    def forward(self, image: Tensor) -> Tensor:
        """Translate (N, 1, H, W) in 0..1, air exactly 0, to the same; float32."""
        return torch.sigmoid(self.net(self.view(image)).float()) * (image > 0)

    @contextmanager
    def own_intensities(self, images: Tensor) -> Iterator[None]:
        """See brains by the mean and spread of ``images`` (N, 1, H, W), not of the training's."""
        if not isinstance(self.view, Standardised):  # features are normalised image by image
            yield
            return
        kept = copy.deepcopy(self.view.state_dict())
        self.view.measure(images)
        try:
            yield
        finally:
            self.view.load_state_dict(kept)


class Standardised(nn.Module):
    """What a network sees of an image: brain intensities of mean 0 and variance 1, and the brain.

    Mean and spread are those of a modality's training slices and travel with the weights. They
    are the same for every image of that modality, so that intensities mean the same everywhere;
    another modality brings its own (:meth:`Generator.own_intensities`).
    """

    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def measure(self, images: Tensor) -> None:
        """Take mean and spread from the brain pixels of (N, 1, H, W) in 0..1, air 0."""
        brain = images[images > 0]
        self.mean.copy_(brain.mean())
        self.spread.copy_(brain.std().clamp(min=1e-3))

    def forward(self, image: Tensor) -> Tensor:
        """(N, 1, H, W) to (N, 2, H, W): standardised, with air 0; and 1 where there is brain."""
        brain = (image > 0).to(image)
        return torch.cat([(image - self.mean) / self.spread * brain, brain], 1)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside the identity."""

    def __init__(self, width: int, instance: bool) -> None:
        super().__init__()
        first, second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        end = [nn.InstanceNorm2d(width)] if instance else []
        self.net = nn.Sequential(*_unit(first, instance), second, *end)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return x + self.net(x)


def _unit(convolution: nn.Conv2d | nn.ConvTranspose2d, instance: bool) -> list[nn.Module]:
    norm = [nn.InstanceNorm2d(convolution.out_channels)] if instance else []
    return [convolution, *norm, nn.ReLU()]


class Critic(nn.Module):
    """PatchGAN (Isola et al. 2017): one verdict a patch, not one an image.

    Args:
        channels: features of the first convolution; each layer doubles them.
        layers: convolutions between the first and the last; a patch is 16 px wide with 1, 34 px
            with 2, and 70 px with the paper's 3.
        normalisation: ``instance``, of features, as in the paper; or ``images``, of the intensities
            (:class:`Standardised`).
        spectral: with ``images``, whether weights are normalised spectrally too (Miyato et al.
            2018). Verdicts then change no faster than the image, which bears higher rates and
            leaves the generator a gentler push.
    """

    def __init__(
        self, channels: int, layers: int, normalisation: str = "instance", spectral: bool = True
    ) -> None:
        super().__init__()
        from monai.networks.nets import PatchDiscriminator

        instance = normalisation == "instance"
        self.view: nn.Module = nn.Identity() if instance else Standardised()
        self.net = PatchDiscriminator(
            spatial_dims=2,
            channels=channels,
            in_channels=1 if instance else 2,
            num_layers_d=layers,
            norm="INSTANCE" if instance else None,
            bias=not instance,
        )
        if spectral and not instance:
            for module in list(self.net.modules()):
                if isinstance(module, nn.Conv2d):
                    nn.utils.parametrizations.spectral_norm(module)

    def forward(self, image: Tensor) -> Tensor:
        """Verdicts (N, 1, h, w) on images (N, 1, H, W): 1 is real, 0 is not; float32."""
        seen = self.view(image) if isinstance(self.view, Standardised) else 2 * image - 1
        return self.net(seen)[-1].float()


class ImagePool(nn.Module):
    """A history of generated images for the critic (Shrivastava et al. 2017).

    Until it is full, it keeps and returns what comes. Then each image is, with probability 1/2,
    exchanged for a random one of the pool. Its content are buffers, so a checkpoint of the
    networks holds it and a resumed training goes on with the same history.

    Args:
        size: images kept; 0 keeps none.
        shape: of an image, (1, H, W).
    """

    images: Tensor
    held: Tensor

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("held", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def exchange(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (N, 1, H, W) for the critic in return for as many new ones.

        Args:
            images: new ones, in the order in which they enter.
            generator: on the CPU; draws two numbers an image, whether they are used or not.
        """
        size = len(self.images)
        keep = torch.rand(len(images), generator=generator) < 0.5
        place = torch.randint(max(size, 1), (len(images),), generator=generator)
        given = images.detach().clone()
        for row, image in enumerate(images.detach()):
            if self.held < size:
                self.images[self.held] = image
                self.held += 1
            elif size and keep[row]:
                given[row] = self.images[place[row]]
                self.images[place[row]] = image
        return given
