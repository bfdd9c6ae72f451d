"""What a block of the config may say of each method. Nothing here computes, so no torch."""

from dataclasses import dataclass

from lmidiff.options import Guidance, Sampling

CONTRASTS = 2
"""Random contrasts in which tuning shows each validation subject."""

MOST_TRIED = 100_000
"""Candidates, or steps, of an inversion: more never end."""

EXPLAINED = "eta2"
LOSSES = ("edges", "lmi", "both")

NO_CONDITION = Guidance(condition="none")
WIDE = Guidance(bandwidths=(8.0, 24.0), normalized=False, search=False)
"""Maps that a structure can be found by, from further away than the paper's."""


@dataclass(frozen=True)
class NoSettings:
    """For methods that take none."""


@dataclass(frozen=True)
class SDEditSettings(Sampling):
    """Of SDEdit.

    Attributes:
        strength: share of the schedule at which the noised source starts (t_0 in the paper), in
            (0, 1].
    """

    strength: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength <= 1:
            raise ValueError(f"strength {self.strength} is not in (0, 1]")


@dataclass(frozen=True)
class ILVRSettings(Sampling):
    """Of ILVR.

    Attributes:
        factor: N, the side of the blocks in pixels.
        stop: share of the schedule, counted from clean data, in which the sample is left alone, in
            [0, 1).
    """

    factor: int = 8
    stop: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.factor, int) or self.factor < 1:
            raise ValueError(f"factor {self.factor} is not a whole number > 0")
        if not 0 <= self.stop < 1:
            raise ValueError(f"stop {self.stop} is not in [0, 1)")


def _differentiable(guidance: Guidance) -> None:
    if guidance.estimator == "reference":
        raise ValueError("guidance.estimator 'reference' passes no gradient; use renyi2 or parzen")


@dataclass(frozen=True)
class GradientSettings(Sampling):
    """Of gradient guidance.

    Attributes:
        scale: of the gradient, see :func:`lmidiff.guidance.steer`.
        guidance: the maps whose mean is the score; an estimator that passes a gradient.
    """

    scale: float = 0.1
    guidance: Guidance = NO_CONDITION

    def __post_init__(self) -> None:
        super().__post_init__()
        _differentiable(self.guidance)
        if not isinstance(self.scale, (int, float)):
            raise TypeError(f"scale {self.scale!r} is not a number")


@dataclass(frozen=True)
class InversionSettings:
    """How a slice is inverted; the loss is stated in :mod:`lmidiff.methods.stylegan`.

    Attributes:
        candidates: random samples among which the start is chosen.
        truncation: how far candidates go from the mean of w, 1 being as far as training did.
        steps: of Adam; 0 gives the best candidate with noise of its own.
        rate: first step of a latent, in units of the spread of w; the noise's is the same.
        loss: "edges", "lmi" or "both".
        silhouette: weight of that term of the loss.
        edge_noise: see :func:`lmidiff.images.structure.edge_features`.
        scales: at which edges are compared, in pixels.
        prior: weight of the squared distance to the mean of w, in units of its spread.
        noise: weight of the penalty on the noise's autocorrelation.
        guidance: the LMI maps, by an estimator that passes a gradient where the loss has them.
    """

    candidates: int = 512
    truncation: float = 1.0
    steps: int = 30
    rate: float = 0.1
    loss: str = "edges"
    silhouette: float = 1.0
    edge_noise: float = 0.5
    scales: tuple[int, ...] = (1, 2)
    prior: float = 0.01
    noise: float = 0.1
    guidance: Guidance = WIDE

    def __post_init__(self) -> None:
        for key in ("candidates", "steps", "silhouette", "prior", "noise"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} must not be negative, got {getattr(self, key)}")
        for key in ("candidates", "steps"):
            if getattr(self, key) > MOST_TRIED:
                raise ValueError(f"{key} must be at most {MOST_TRIED}, got {getattr(self, key)}")
        if self.rate <= 0:
            raise ValueError(f"rate must be above 0, got {self.rate}")
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {LOSSES}, got {self.loss!r}")
        if self.loss != "edges":
            _differentiable(self.guidance)


@dataclass(frozen=True)
class Bins:
    """The ``bins`` of a function of intensity, at least 2."""

    bins: int = 256

    def __post_init__(self) -> None:
        if not isinstance(self.bins, int) or self.bins < 2:
            raise ValueError(f"bins {self.bins} is not a whole number above 1")


@dataclass(frozen=True)
class Consistency(Bins):
    """How far an image is moved towards what is known of a translation.

    Attributes:
        consistency: share of the way to the function of the source, 0..1; or "eta2", the share of
            the image's variance that the function explains, in each subject.
        prior: share of the way to the target's histogram, 0..1.
    """

    consistency: float | str = EXPLAINED
    prior: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.consistency, str) and self.consistency != EXPLAINED:
            raise ValueError(f"consistency {self.consistency!r} is neither a share nor {EXPLAINED}")
        for key in ("consistency", "prior"):
            value = getattr(self, key)
            if not isinstance(value, str) and not 0 <= value <= 1:
                raise ValueError(f"{key} {value} is not in [0, 1]")


@dataclass(frozen=True)
class SelfConsistentSettings(Sampling, Consistency):
    """Of the study's own method: a sampler, and how far its images are moved."""

    def __post_init__(self) -> None:
        Sampling.__post_init__(self)
        Consistency.__post_init__(self)
