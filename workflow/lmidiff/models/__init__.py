"""Models that are trained: one file a family, found by the ``family`` key of the config.

A family is an object with

    needs: frozenset[str]      what training may see, of "target", "source", "pairs" and "labels"
    defaults: tuple[str, ...]  the blocks of the config's model_defaults that its settings take
    fit(settings, data, workspace, device, name) -> (weights, curve)
    load(settings, weights, device) -> what the methods call

The rules hand a training job the files of its declared roles and no others.
"""

from importlib import import_module
from typing import Any

from lmidiff.common.declared import Declared
from lmidiff.common.errors import StudyError

FAMILIES = {
    "cyclegan": "lmidiff.models.cyclegan",
    "diffusion": "lmidiff.models.diffusion",
    "histogram": "lmidiff.models.histogram",
    "regression": "lmidiff.models.regression",
    "stylegan": "lmidiff.models.stylegan",
    "supervised": "lmidiff.models.supervised",
    "synthetic": "lmidiff.models.synthetic",
}


def family_of(name: str) -> Any:
    """The module of a model family; raises StudyError for an unknown name."""
    return import_module(declared_family(name).__name__)


def declared_family(name: str) -> Any:
    """A model family as a plan needs it: ``needs``, ``defaults`` and its module's ``__name__``.

    Raises:
        StudyError: an unknown name.
    """
    if name not in FAMILIES:
        raise StudyError(f"config: unknown model family {name!r}; known are {sorted(FAMILIES)}")
    return Declared(FAMILIES[name])
