"""Translation methods: one file a method, one contract (:class:`lmidiff.methods.base.Method`).

The config's key under ``methods`` is the key here. To add one: write the file, add the line,
give it a block in the config.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lmidiff.common.declared import Declared, Undeclared
from lmidiff.common.errors import StudyError

if TYPE_CHECKING:
    from lmidiff.methods.base import Method

METHODS = {
    "source": "lmidiff.methods.simple:Source",
    "histogram": "lmidiff.methods.simple:HistogramMatching",
    "inverted_histogram": "lmidiff.methods.simple:InvertedHistogramMatching",
    "cyclegan": "lmidiff.methods.cyclegan:CycleGAN",
    "cyclegan_unseen": "lmidiff.methods.cyclegan:CycleGANUnseen",
    "sdedit": "lmidiff.methods.sdedit:SDEdit",
    "sdedit_inverted": "lmidiff.methods.sdedit:InvertedSDEdit",
    "ilvr": "lmidiff.methods.ilvr:ILVR",
    "fgdm": "lmidiff.methods.fgdm:FGDM",
    "stylegan": "lmidiff.methods.stylegan:StyleGANInversion",
    "lmidiffusion": "lmidiff.methods.lmidiffusion:LMIDiffusion",
    "lmidiffusion_cr": "lmidiff.methods.lmidiffusion:ContrastRandomisedLMIDiffusion",
    "lmidiffusion_grad": "lmidiff.methods.lmidiffusion_grad:GradientLMIDiffusion",
    "image_cr": "lmidiff.methods.controls:ImageGuidedDiffusion",
    "edges": "lmidiff.methods.controls:EdgeGuidedDiffusion",
    "self_consistent": "lmidiff.methods.self_consistent:SelfConsistentLMIDiffusion",
    "cr_regression": "lmidiff.methods.regression:ContrastRandomisedRegression",
    "cr_regression_consistent": "lmidiff.methods.self_consistent:ConsistentRegression",
    "synth_regression": "lmidiff.methods.regression:SyntheticRegression",
    "supervised": "lmidiff.methods.regression:Supervised",
    "lookup": "lmidiff.methods.simple:Lookup",
    "oracle": "lmidiff.methods.simple:Oracle",
}


def methods_for(settings: Mapping[str, Any]) -> list[str]:
    """Names of the methods that can translate with a model.

    Args:
        settings: the model's block, as its config.json has it.
    """
    condition = settings.get("guidance", {}).get("condition", "both")
    fitting = []
    for name in METHODS:
        kind = method_of(name)
        if kind.family == settings["family"] and (
            kind.conditions is None or condition in kind.conditions
        ):
            fitting.append(name)
    return fitting


def method_of(name: str) -> type[Method]:
    """The class of a method; raises StudyError for an unknown key."""
    module, attribute = _place(name)
    return getattr(import_module(module), attribute)


def declared_method(name: str) -> type[Method]:
    """The class of a method as a plan needs it, without torch: its attributes, and no translation.

    Raises:
        StudyError: an unknown key.
    """
    module, attribute = _place(name)
    return getattr(Declared(module), attribute)


def check_settings(name: str, settings: Mapping[str, Any], seed: int) -> None:
    """Let a method check its settings, without a model.

    Raises:
        StudyError: an unknown method, or what the method says of its settings.
        TypeError, ValueError: a setting is of the wrong kind.
    """
    try:
        declared_method(name)(settings, None, seed)
    except (Undeclared, NameError):
        method_of(name)(settings, None, seed)


def _place(name: str) -> tuple[str, str]:
    if name not in METHODS:
        raise StudyError(f"config: unknown method {name!r}; known are {sorted(METHODS)}")
    module, _, attribute = METHODS[name].partition(":")
    return module, attribute
