"""Signal equations of MR sequences, and the sequences behind the modality names of the study."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from lmidiff.common.errors import StudyError

Values = float | np.ndarray


@dataclass(frozen=True)
class Tissue:
    """What a tissue gives a sequence to work with; numbers or arrays of one shape.

    Attributes:
        t1: longitudinal relaxation time in ms, > 0.
        t2: transverse relaxation time in ms, > 0.
        t2s: effective transverse relaxation time (T2*) in ms, > 0.
        pd: proton density relative to water, 0..1.
    """

    t1: Values
    t2: Values
    t2s: Values
    pd: Values


TISSUE_NAMES = ("CSF", "GM", "WM")
"""The tissues in the order of every fraction array; labels are this order counted from 1."""

TISSUES: Mapping[str, Tissue] = MappingProxyType(
    {
        "CSF": Tissue(t1=2569.0, t2=329.0, t2s=58.0, pd=1.00),
        "GM": Tissue(t1=833.0, t2=83.0, t2s=69.0, pd=0.86),
        "WM": Tissue(t1=500.0, t2=70.0, t2s=61.0, pd=0.77),
    }
)
"""Parameters that BrainWeb publishes for 1.5 T."""


def spin_echo(tissue: Tissue, *, tr: float, te: float) -> Values:
    """Spin echo: PD (1 - exp(-TR/T1)) exp(-TE/T2), for TE much shorter than TR.

    Args:
        tissue: relaxation times and proton density.
        tr: repetition time in ms.
        te: echo time in ms.

    Returns:
        Signal relative to the equilibrium magnetisation of water, 0..1.
    """
    return tissue.pd * (1 - np.exp(-tr / tissue.t1)) * np.exp(-te / tissue.t2)


def spoiled_gradient_echo(tissue: Tissue, *, tr: float, te: float, flip: float) -> Values:
    """Spoiled gradient echo in steady state (the Ernst equation).

    PD sin(a) (1 - E1) / (1 - cos(a) E1) exp(-TE/T2*), with E1 = exp(-TR/T1).

    Args:
        tissue: relaxation times and proton density.
        tr: repetition time in ms.
        te: echo time in ms.
        flip: flip angle a in degrees, 0..90.

    Returns:
        Signal relative to the equilibrium magnetisation of water, 0..1.
    """
    angle = np.deg2rad(flip)
    e1 = np.exp(-tr / tissue.t1)
    steady = np.sin(angle) * (1 - e1) / (1 - np.cos(angle) * e1)
    return tissue.pd * steady * np.exp(-te / tissue.t2s)


def inversion_recovery(tissue: Tissue, *, tr: float, te: float, ti: float) -> Values:
    """Inversion-recovery spin echo: PD (1 - 2 exp(-TI/T1) + exp(-TR/T1)) exp(-TE/T2).

    Args:
        tissue: relaxation times and proton density.
        tr: repetition time in ms.
        te: echo time in ms.
        ti: inversion time in ms, less than ``tr``.

    Returns:
        *Signed* signal relative to the equilibrium magnetisation of water, -1..1: tissues that
        have not passed their null are negative. A voxel sums its tissues with their signs and
        the scanner shows the magnitude of the sum.
    """
    recovery = 1 - 2 * np.exp(-ti / tissue.t1) + np.exp(-tr / tissue.t1)
    return tissue.pd * recovery * np.exp(-te / tissue.t2)


def null_inversion_time(t1: float, tr: float) -> float:
    """The TI in ms at which a tissue of this T1 gives no signal: T1 ln(2 / (1 + exp(-TR/T1)))."""
    return float(t1 * np.log(2 / (1 + np.exp(-tr / t1))))


@dataclass(frozen=True)
class Sequence:
    """A signal equation with its parameters (ms, degrees)."""

    equation: Callable[..., Values]
    parameters: Mapping[str, float] = field(default_factory=dict)

    def signal(self, tissue: Tissue) -> Values:
        """Signed signal of ``tissue``, relative to the equilibrium magnetisation of water."""
        return self.equation(tissue, **self.parameters)

    def varied(self, factors: Iterable[float]) -> "Sequence":
        """The sequence with its parameters, in order, times ``factors``."""
        varied = {k: v * f for (k, v), f in zip(self.parameters.items(), factors, strict=True)}
        return Sequence(self.equation, varied)


STRUCTURES: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "thalamus": (0.85, 0.90, 0.98),
        "caudate": (0.95, 0.90, 1.00),
        "putamen": (0.90, 0.82, 0.98),
        "pallidum": (0.75, 0.65, 0.93),
        "cerebellar cortex": (0.95, 1.05, 1.02),
    }
)
"""T1, T2 and proton density of grey structures over those of the cerebral cortex, in round numbers:
iron shortens T2 in the basal ganglia, most in the pallidum; myelin shortens T1 in the thalamus."""

LESION = (1.6, 1.8, 1.1)
"""T1, T2 and proton density of a white-matter lesion over those of white matter, roughly."""

_FLAIR_TR = 9000.0

SEQUENCES: Mapping[str, Sequence] = MappingProxyType(
    {
        # The flip angle gives the grey/white ratio of a real T1w (SRI24: 0.70) once voxels mix.
        "T1w": Sequence(spoiled_gradient_echo, {"tr": 18.0, "te": 5.0, "flip": 60.0}),
        # The two echoes of IXI's dual-echo spin echo.
        "PDw": Sequence(spin_echo, {"tr": 8178.0, "te": 8.0}),
        "T2w": Sequence(spin_echo, {"tr": 8178.0, "te": 100.0}),
        "FLAIR": Sequence(
            inversion_recovery,
            {
                "tr": _FLAIR_TR,
                "te": 120.0,
                "ti": null_inversion_time(TISSUES["CSF"].t1, _FLAIR_TR),
            },
        ),
    }
)
"""What the study simulates under each modality name."""


def sequence_of(modality: str) -> Sequence:
    """The sequence simulated under a modality name.

    Raises:
        StudyError: the study has no sequence of this name.
    """
    try:
        return SEQUENCES[modality]
    except KeyError:
        known = ", ".join(SEQUENCES)
        raise StudyError(
            f"{modality}: no simulated sequence of this name; known: {known}"
        ) from None
