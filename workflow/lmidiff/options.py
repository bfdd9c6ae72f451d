"""What one chooses of the guidance and of the sampler. Nothing here computes, so no torch."""

from dataclasses import dataclass

CONDITIONS = ("none", "self", "cross", "both", "image", "edges", "frequency")
ESTIMATORS = ("reference", "parzen", "renyi2")
SAMPLER_NAMES = ("ancestral", "ddim", "dpm_solver")
VARIANCES = ("small", "large")
SPACINGS = ("trailing", "quadratic", "log_snr")
PRECISIONS = ("auto", "float32", "bfloat16")

LARGEST_PATCH = 15
"""Pixels: memory grows with the fourth power of a patch that searches its own window."""

MOST = {"steps": 10_000, "draws": 1000}
"""Of a sampler: as many steps as the longest schedule; more never end."""


@dataclass(frozen=True)
class Guidance:
    """The condition of a denoiser (the paper's three-channel input, one channel x_t).

    Attributes:
        condition: "none", "self" = LMI(y, y), "cross" = LMI(y, x_t), "both" = cross then self,
            "image", the (contrast-randomised) image itself instead of a map of it,
            "edges", the magnitude of its gradient (:func:`lmidiff.guidance.edges`), or
            "frequency", high-pass filtered images (:mod:`lmidiff.methods.fgdm`).
        estimator: see :mod:`lmidiff.lmi`.
        patch_size: pixels, odd.
        bandwidths: kernel standard deviations in grey levels of 0..255, a channel each.
        normalized: NMI (0..1) instead of MI (bits).
        search: maximise over the offsets of a patch.
        cross_time: the noise level of x in the cross map during training: "same" as the
            network's, or "next", one step noisier, as the authors' code has it.
        cutoffs: of "frequency", standard deviations of the low-passes in pixels, a channel each.
        signed: of "frequency", keep the sign of the high-pass, which a reversed contrast turns.

    Raises:
        ValueError: a value that is none of these.
    """

    condition: str = "both"
    estimator: str = "renyi2"
    patch_size: int = 3
    bandwidths: tuple[float, ...] = (8.0,)
    normalized: bool = True
    search: bool = True
    cross_time: str = "same"
    cutoffs: tuple[float, ...] = (1.0, 3.0)
    signed: bool = False

    def __post_init__(self) -> None:
        for key, value, allowed in (
            ("condition", self.condition, CONDITIONS),
            ("estimator", self.estimator, ESTIMATORS),
            ("cross_time", self.cross_time, ("same", "next")),
        ):
            if value not in allowed:
                raise ValueError(f"{key} must be one of {allowed}, got {value!r}")
        if not 3 <= self.patch_size <= LARGEST_PATCH or self.patch_size % 2 == 0:
            raise ValueError(
                f"patch_size must be odd and of 3 to {LARGEST_PATCH}, got {self.patch_size}"
            )
        for key in ("bandwidths", "cutoffs"):
            values = getattr(self, key)
            if not values or not all(value > 0 for value in values):
                raise ValueError(f"{key} must be positive and at least one, got {values}")

    @property
    def channels(self) -> int:
        """Number of channels of the condition."""
        if self.condition in ("none", "image", "edges"):
            return int(self.condition != "none")
        if self.condition == "frequency":
            return len(self.cutoffs)
        return len(self.bandwidths) * (2 if self.condition == "both" else 1)

    @property
    def needs_sample(self) -> bool:
        """Whether the condition changes from step to step."""
        return self.condition in ("cross", "both")

    @property
    def has_static(self) -> bool:
        """Whether a part of the condition is the same at every step."""
        return self.condition not in ("none", "cross")


#: The authors' settings (public code, commit d2d05f3), see docs/method.md.
PAPER = Guidance(condition="both", estimator="reference", normalized=True, cross_time="next")


@dataclass(frozen=True)
class Sampling:
    """How a diffusion samples.

    Attributes:
        sampler: "ancestral", "ddim" or "dpm_solver".
        steps: network evaluations a draw, wherever in the schedule it starts.
        draws: samples a slice; their mean is the translation.
        variance: of the ancestral sampler, "small" or "large".
        final_noise: of the ancestral sampler, noise at the last step too (the authors' code).
        spacing: of the times, see :func:`lmidiff.diffusion.timesteps`: "trailing", "quadratic" or
            "log_snr".
        precision: of the network, see :func:`lmidiff.sampler.resolve_precision`.

    Raises:
        ValueError: a value that is none of these.
    """

    sampler: str = "dpm_solver"
    steps: int = 4
    draws: int = 2
    variance: str = "small"
    final_noise: bool = False
    spacing: str = "trailing"
    precision: str = "float32"

    def __post_init__(self) -> None:
        for key, allowed in (
            ("sampler", SAMPLER_NAMES),
            ("variance", VARIANCES),
            ("spacing", SPACINGS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, key) not in allowed:
                raise ValueError(f"{key} must be one of {allowed}, got {getattr(self, key)!r}")
        for key in ("steps", "draws"):
            if not 1 <= getattr(self, key) <= MOST[key]:
                raise ValueError(f"{key} must be 1 to {MOST[key]}, got {getattr(self, key)}")

    def options(self) -> dict:
        """Keyword arguments of the sampler."""
        if self.sampler != "ancestral":
            return {}
        return {"variance": self.variance, "final_noise": self.final_noise}
