"""Models that are trained: one file a family, found by the ``family`` key of the config.

A family's module has

    fit(settings, data, workspace, device, name) -> (weights, curve)
    load(settings, weights, device) -> what the methods call

and its line here says, without importing it, what its training may see. The rules hand a training
job the files of its declared roles and no others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from lmidiff.common.errors import StudyError


@dataclass(frozen=True)
class Family:
    """What a plan knows of a family.

    Attributes:
        module: where it is.
        needs: what training may see, of "target", "source", "pairs" and "labels".
        defaults: the blocks of the config's ``model_defaults`` that its settings take.
        parallel: whether several processes can share its training.
        windows: whether its training sees windows of a slice (``training.crop``), not whole ones.
    """

    module: str
    needs: frozenset[str]
    defaults: tuple[str, ...] = ()
    parallel: bool = False
    windows: bool = False


FAMILIES = {
    "cyclegan": Family(
        "lmidiff.models.cyclegan", frozenset({"target", "source"}), ("cyclegan", "training")
    ),
    "diffusion": Family(
        "lmidiff.models.diffusion",
        frozenset({"target"}),
        ("diffusion", "objective", "guidance", "contrast", "unet", "training"),
        parallel=True,
        windows=True,
    ),
    "histogram": Family("lmidiff.models.histogram", frozenset({"target"})),
    "regression": Family(
        "lmidiff.models.regression",
        frozenset({"target"}),
        ("guidance", "contrast", "unet", "training"),
        windows=True,
    ),
    "stylegan": Family("lmidiff.models.stylegan", frozenset({"target"}), ("stylegan", "training")),
    "supervised": Family(
        "lmidiff.models.supervised",
        frozenset({"pairs"}),
        ("guidance", "unet", "training"),
        windows=True,
    ),
    "synthetic": Family(
        "lmidiff.models.synthetic",
        frozenset({"target", "labels"}),
        ("guidance", "contrast", "unet", "training"),
        windows=True,
    ),
}


def family_of(name: str) -> Family:
    """What is declared of a model family; raises StudyError for an unknown name."""
    if name not in FAMILIES:
        raise StudyError(f"config: unknown model family {name!r}; known are {sorted(FAMILIES)}")
    return FAMILIES[name]


def family_module(name: str) -> ModuleType:
    """The module of a model family, imported; raises StudyError for an unknown name."""
    return import_module(family_of(name).module)


def is_unconditional(settings: Mapping[str, Any]) -> bool:
    """Whether a model, by its settings, draws images without any source."""
    if settings["family"] == "diffusion":
        return settings["guidance"]["condition"] == "none"
    return settings["family"] == "stylegan"
