"""What the commands share: options, and a trained model with what it was trained on."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lmidiff.common.devices import pick_device
from lmidiff.common.errors import StudyError
from lmidiff.methods.base import Method
from lmidiff.methods.build import build_method

SAMPLING = {"sampler": "dpm_solver", "steps": 8, "draws": 6, "precision": "auto"}
"""The default study's."""

IMAGES = "images"
"""Key of a model's config.json that says what its slices are like."""


@dataclass(frozen=True)
class Slices:
    """What a model's slices are like: side in pixels, pixel in mm, what became 1, its modality."""

    image_size: int
    pixel_size: float
    percentile: float
    target: str
    extent: tuple[float, float]


def add_scan(parser: argparse.ArgumentParser, what: str) -> None:
    """The options of a command that takes a raw scan."""
    parser.add_argument("--source", type=Path, required=True, metavar="NIFTI", help=what)
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="NIFTI",
        help="brain mask on the grid of the scan (default: found in the scan)",
    )


def add_model(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The options of a command that translates."""
    parser.add_argument(
        "--weights",
        type=Path,
        required=required,
        metavar="FILE",
        help="weights.safetensors of a trained model, its config.json beside it "
        "(results/<study>/models/<model>/)",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        help="how the model translates (default: as it was trained: lmidiffusion, "
        "lmidiffusion_cr, or inverted_histogram)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--steps", type=_positive, default=SAMPLING["steps"], help="of the sampler")
    parser.add_argument(
        "--draws", type=_positive, default=SAMPLING["draws"], help="their mean is the translation"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the noise")
    parser.add_argument(
        "--spacing",
        type=float,
        metavar="MM",
        help="from slice to slice (default: the model's pixel size)",
    )


def load(given: argparse.Namespace) -> tuple[Method, Slices, torch.device]:
    """The method that the options ask for, its slices and the device.

    Raises:
        StudyError: weights or config.json are missing or do not fit.
    """
    device = pick_device(given.device)
    settings = _settings(given.weights)
    slices = _slices(settings, given.weights)
    name = given.method or _method_of(settings)
    block = {
        "name": name,
        "settings": {**SAMPLING, "steps": given.steps, "draws": given.draws}
        if settings["family"] == "diffusion"
        else {},
        "family": settings["family"],
        "model": settings,
    }
    return build_method(block, {}, [str(given.weights)], given.seed, device), slices, device


def _settings(weights: Path) -> dict[str, Any]:
    path = weights.with_name("config.json")
    try:
        settings = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise StudyError(f"{path}: no such file; it lies beside the weights of a study") from error
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(settings, dict) or "family" not in settings:
        raise StudyError(f"{path}: is not the config of a trained model")
    return settings


def _slices(settings: dict[str, Any], weights: Path) -> Slices:
    said = settings.pop(IMAGES, None)
    try:
        grid = said["grid"]
        return Slices(
            grid["image_size"],
            grid["pixel_size"],
            said["percentile"],
            said["target"],
            tuple(grid["extent"]),
        )
    except (KeyError, TypeError) as error:
        raise StudyError(
            f"{weights.with_name('config.json')}: does not say what the model's slices are like "
            f"(key {IMAGES!r}); train the model again with this version"
        ) from error


def _method_of(settings: dict[str, Any]) -> str:
    if settings["family"] == "histogram":
        return "inverted_histogram"
    if settings["family"] == "diffusion" and settings["guidance"]["condition"] != "none":
        return "lmidiffusion_cr" if settings.get("contrast_randomised") else "lmidiffusion"
    raise StudyError(f"a model of family {settings['family']} needs --method")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value
