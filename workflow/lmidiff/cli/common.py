"""What the commands share: a trained model, with what it was trained on."""

import argparse
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lmidiff.cli.arguments import SAMPLING, SEED, refuse_together
from lmidiff.common.devices import pick_device
from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume
from lmidiff.common.regions import BRAIN
from lmidiff.common.schema import check_block, check_finite
from lmidiff.common.settings import settings_of
from lmidiff.data.grid import Grid
from lmidiff.data.headers import one_line
from lmidiff.images.contrast import ContrastSettings
from lmidiff.methods import methods_for
from lmidiff.methods.base import Method
from lmidiff.methods.build import build_method
from lmidiff.models.shipped import weights_of

USUAL = {"histogram": "inverted_histogram", "regression": "cr_regression"}
"""How a model translates if nobody says, by its family."""

RANDOMISED = "regression"
"""The family that gives one answer, and was trained on images in random contrasts."""

IMAGES = "images"
"""Key of a model's config.json that says what its slices are like."""


@dataclass(frozen=True)
class Slices:
    """What a model's slices are like: side in pixels, pixel in mm, what became 1, its modality.

    ``contrast`` is how far the random contrasts of its training go, None for a model without.
    """

    image_size: int
    pixel_size: float
    percentile: float
    target: str
    extent: tuple[float, float]
    contrast: ContrastSettings | None = None


DEFAULT_MODEL = "T1w"

_NONSENSE = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,  # torch's, and too deep a recursion
)
"""What building a network raises whose settings make no sense."""


def files_read(given: argparse.Namespace, scans: Sequence[str]) -> list[Path]:
    """The files that are read: scans, mask, weights and their config."""
    files = [split_volume(scan)[0] for scan in scans]
    files += [given.mask] if given.mask else []
    return files + ([given.weights, config_of(given.weights)] if given.weights else [])


def config_of(weights: Path) -> Path:
    """What says what weights are, beside them."""
    return weights.parent / "config.json"


def load(given: argparse.Namespace) -> tuple[Method, Slices, torch.device]:
    """The method that the options ask for, its slices and the device.

    Raises:
        StudyError: weights or config.json are missing or do not fit.
    """
    if given.weights is None:
        given.weights = weights_of(DEFAULT_MODEL)
    if given.weights.is_dir():
        raise StudyError(f"{given.weights}: is a folder; name the weights.safetensors in it")
    settings = _settings(given.weights)
    if settings["family"] != "diffusion":
        why = f"{given.weights} is of family {settings['family']}, which draws nothing"
        refuse_together(given, ("steps", "draws"), why)
    for key, usual in (("steps", SAMPLING["steps"]), ("draws", SAMPLING["draws"]), ("seed", SEED)):
        if getattr(given, key) is None:
            setattr(given, key, usual)
    device = pick_device(given.device)
    slices = _slices(settings, given.weights)
    if settings["family"] == RANDOMISED:
        slices = replace(slices, contrast=_contrast(settings, given.weights))
    fitting = _fitting(settings, given.weights)
    name = given.method or _method_of(settings, fitting)
    if name not in fitting:
        raise StudyError(
            f"--method {name}: {given.weights} is a model of family {settings['family']}, which "
            f"serves {', '.join(fitting)}"
        )
    block = {
        "name": name,
        "settings": {**SAMPLING, "steps": given.steps, "draws": given.draws}
        if settings["family"] == "diffusion"
        else {},
        "family": settings["family"],
        "model": settings,
    }
    try:
        method = build_method(block, {}, [str(given.weights)], given.seed, device)
    except StudyError as error:
        text = str(error)
        if text.startswith("config: "):
            text = f"{config_of(given.weights)}: {text.removeprefix('config: ')}"
        elif str(given.weights) not in text:
            text = f"{given.weights}: {text}"
        raise StudyError(text) from error
    except torch.OutOfMemoryError:
        raise
    except _NONSENSE as error:
        raise StudyError(
            f"{config_of(given.weights)}: does not describe the model ({one_line(error)}); take "
            "the file that lies beside the weights of the study"
        ) from error
    multiple = getattr(getattr(method.model, "network", None), "multiple", 1)
    if slices.image_size % multiple:
        raise StudyError(
            f"{config_of(given.weights)}: {IMAGES}.grid.image_size {slices.image_size} is not a "
            f"multiple of {multiple}, which the network's levels need; take the file that lies "
            "beside the weights of the study"
        )
    return method, slices, device


def _fitting(settings: Mapping[str, Any], weights: Path) -> list[str]:
    try:
        fitting = methods_for(settings)
    except (AttributeError, TypeError) as error:
        raise StudyError(f"{config_of(weights)}: guidance is no table of settings") from error
    if not fitting:
        raise StudyError(
            f"{config_of(weights)}: family {settings['family']!r} serves no method of this version"
        )
    return fitting


def _settings(weights: Path) -> dict[str, Any]:
    path = config_of(weights)
    try:
        settings = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise StudyError(f"{path}: no such file; it lies beside the weights of a study") from error
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f"{path}: cannot be read as JSON ({one_line(error)})") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("family"), str):
        raise StudyError(f"{path}: is not the config of a trained model")
    check_finite(settings, str(path))
    for name, block in settings.items():
        check_block(block, name, str(path))
    return settings


def _slices(settings: dict[str, Any], weights: Path) -> Slices:
    said = settings.pop(IMAGES, None)
    try:
        grid = said["grid"]
        low, high = map(float, grid["extent"])
        like = Slices(
            operator.index(grid["image_size"]),
            float(grid["pixel_size"]),
            float(said["percentile"]),
            said["target"],
            (low, high),
        )
        field = said.get("field", BRAIN)
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"{config_of(weights)}: does not say what the model's slices are like "
            f"(key {IMAGES!r}); train the model again with this version"
        ) from error
    try:
        Grid(like.image_size, like.pixel_size, 1, like.extent)
    except StudyError as error:
        raise StudyError(f"{config_of(weights)}: {IMAGES}.{error}") from error
    if field != BRAIN:
        raise StudyError(
            f"{config_of(weights)}: the model knows whole heads (data.field: {field}), and this "
            f"command shows it the brain alone; take a model of data.field: {BRAIN}"
        )
    if not isinstance(like.target, str) or not like.target.isalnum():
        raise StudyError(f"{config_of(weights)}: target {like.target!r} is no name of a modality")
    if not 0 < like.percentile <= 100:
        raise StudyError(f"{config_of(weights)}: percentile {like.percentile} is not in 0..100")
    return like


def _contrast(settings: Mapping[str, Any], weights: Path) -> ContrastSettings:
    try:
        return settings_of(ContrastSettings, settings["contrast"], "contrast")
    except (KeyError, TypeError, ValueError, StudyError) as error:
        raise StudyError(
            f"{config_of(weights)}: does not say what contrasts it was trained in "
            f"({one_line(error)}); take the file that lies beside the weights of the study"
        ) from error


def _method_of(settings: dict[str, Any], fitting: list[str]) -> str:
    """How a model translates if nobody says: as it was trained."""
    if settings["family"] in USUAL:
        return USUAL[settings["family"]]
    usual = "lmidiffusion_cr" if settings.get("contrast_randomised") else "lmidiffusion"
    if usual in fitting:
        return usual
    if len(fitting) == 1:
        return fitting[0]
    raise StudyError(f"--method: name one of those that these weights serve: {', '.join(fitting)}")
