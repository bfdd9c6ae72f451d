"""Translation methods: one file a method, one contract (:class:`lmidiff.methods.base.Method`).

The config's key under ``methods`` is the key here. To add one: write the file, add its line here,
give it a block in the config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lmidiff.common.errors import StudyError
from lmidiff.common.settings import settings_of
from lmidiff.methods.settings import (
    Bins,
    Consistency,
    GradientSettings,
    ILVRSettings,
    InversionSettings,
    NoSettings,
    SDEditSettings,
    SelfConsistentSettings,
)
from lmidiff.options import CONDITIONS, Sampling

if TYPE_CHECKING:
    from lmidiff.methods.base import Method

FREE = frozenset({"none"})
"""Of a diffusion model that draws whatever it likes: the method has to hold it to the source."""

GUIDED = frozenset(CONDITIONS) - FREE
"""Conditions that come from the source; without one a translation would have nothing of it."""


@dataclass(frozen=True)
class Declared:
    """What a plan knows of a method, without importing it.

    Attributes:
        place: module in this package and class, as in ``sdedit:SDEdit``.
        label: what tables and figures print.
        family: the model family the method's ``model`` must be of, or None for no model.
        conditions: of a diffusion model, the ``guidance.condition`` that the method can use, or
            None for a family without.
        settings: dataclass of the further keys of its block.
        sees_test_target: whether its rule is handed the true target image
            (:class:`lmidiff.methods.base.Ceiling`).
    """

    place: str
    label: str
    family: str | None = None
    conditions: frozenset[str] | None = None
    settings: type = NoSettings
    sees_test_target: bool = False

    @property
    def module(self) -> str:
        """Full name of the module."""
        return f"{__name__}.{self.place.partition(':')[0]}"


def _diffusion(
    place: str, label: str, conditions: frozenset[str], settings: type = Sampling
) -> Declared:
    return Declared(place, label, "diffusion", conditions, settings)


METHODS = {
    "source": Declared("simple:Source", "Source, untouched"),
    "histogram": Declared("simple:HistogramMatching", "Histogram matching", "histogram"),
    "inverted_histogram": Declared(
        "simple:InvertedHistogramMatching", "Inverted, histogram matching", "histogram"
    ),
    "cyclegan": Declared("cyclegan:CycleGAN", "CycleGAN", "cyclegan"),
    "cyclegan_unseen": Declared(
        "cyclegan:CycleGANUnseen", "CycleGAN, other modality in training", "cyclegan"
    ),
    "sdedit": _diffusion("sdedit:SDEdit", "SDEdit", FREE, SDEditSettings),
    "sdedit_inverted": _diffusion(
        "sdedit:InvertedSDEdit", "SDEdit, from the inverted histogram", FREE, SDEditSettings
    ),
    "ilvr": _diffusion("ilvr:ILVR", "ILVR", FREE, ILVRSettings),
    "fgdm": _diffusion("fgdm:FGDM", "FGDM", frozenset({"frequency"})),
    "stylegan": Declared(
        "stylegan:StyleGANInversion", "StyleGAN2, inverted", "stylegan", settings=InversionSettings
    ),
    "lmidiffusion": _diffusion("lmidiffusion:LMIDiffusion", "LMIDiffusion", GUIDED),
    "lmidiffusion_cr": _diffusion(
        "lmidiffusion:ContrastRandomisedLMIDiffusion", "LMIDiffusion, contrast-randomised", GUIDED
    ),
    "lmidiffusion_grad": _diffusion(
        "lmidiffusion_grad:GradientLMIDiffusion", "LMI gradient guidance", FREE, GradientSettings
    ),
    "image_cr": _diffusion(
        "controls:ImageGuidedDiffusion",
        "Image-guided diffusion, contrast-randomised",
        frozenset({"image"}),
    ),
    "edges": _diffusion(
        "controls:EdgeGuidedDiffusion",
        "Edge-guided diffusion, contrast-randomised",
        frozenset({"edges"}),
    ),
    "self_consistent": _diffusion(
        "self_consistent:SelfConsistentLMIDiffusion",
        "Self-consistent LMIDiffusion (ours)",
        GUIDED,
        SelfConsistentSettings,
    ),
    "cr_regression": Declared(
        "regression:ContrastRandomisedRegression", "Contrast-randomised regression", "regression"
    ),
    "cr_regression_consistent": Declared(
        "self_consistent:ConsistentRegression",
        "One pass, made self-consistent",
        "regression",
        settings=Consistency,
    ),
    "synth_regression": Declared(
        "regression:SyntheticRegression",
        "Regression from painted label maps (SynthSR)",
        "synthetic",
    ),
    "supervised": Declared("regression:Supervised", "Supervised, paired", "supervised"),
    "lookup": Declared(
        "simple:Lookup",
        "Look-up table, fitted on the answer",
        settings=Bins,
        sees_test_target=True,
    ),
    "oracle": Declared("simple:Oracle", "True target (ceiling)", sees_test_target=True),
}


def method_of(name: str) -> Declared:
    """What is declared of a method; raises StudyError for an unknown key."""
    if name not in METHODS:
        raise StudyError(f"config: unknown method {name!r}; known are {sorted(METHODS)}")
    return METHODS[name]


def methods_for(settings: Mapping[str, Any]) -> list[str]:
    """Names of the methods that can translate with a model.

    Args:
        settings: the model's block, as its config.json has it.
    """
    condition = settings.get("guidance", {}).get("condition", "both")
    return [
        name
        for name, method in METHODS.items()
        if method.family == settings["family"]
        and (method.conditions is None or condition in method.conditions)
    ]


def settings_for(name: str, block: Mapping[str, Any]) -> Any:
    """A method's settings from its block of the config; raises StudyError for a wrong one."""
    return settings_of(method_of(name).settings, block, f"methods.{name}")


def make(name: str, block: Mapping[str, Any], model: Any, seed: int) -> Method:
    """A method, ready to translate.

    Args:
        name: its key.
        block: its settings.
        model: what its family loads; None for a method without a model.
        seed: the study's.

    Raises:
        StudyError: an unknown key, or a wrong setting.
    """
    method = method_of(name)
    kind = getattr(import_module(method.module), method.place.partition(":")[2])
    return kind(settings_for(name, block), model, seed, method.label)
