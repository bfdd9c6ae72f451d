"""What the commands share: options, and a trained model with what it was trained on."""

import argparse
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import torch

from lmidiff.common.devices import pick_device
from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume
from lmidiff.common.regions import BRAIN
from lmidiff.common.settings import settings_of
from lmidiff.data.grid import Grid
from lmidiff.data.headers import one_line
from lmidiff.images.contrast import ContrastSettings
from lmidiff.methods import methods_for
from lmidiff.methods.base import Method
from lmidiff.methods.build import build_method
from lmidiff.models.shipped import weights_of
from lmidiff.options import Sampling

SAMPLING = asdict(Sampling(precision="auto"))

USUAL = {"histogram": "inverted_histogram", "regression": "cr_regression_consistent"}
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


def add_scan(parser: argparse.ArgumentParser, what: str) -> None:
    """The options of a command that takes raw scans."""
    parser.add_argument("scans", nargs="*", metavar="SCAN", help=what)
    parser.add_argument("--source", metavar="NIFTI", help="the same as SCAN")
    parser.add_argument(
        "--volume",
        type=whole(0, 10_000),
        metavar="N",
        help="of a file that holds several volumes; the first is 0",
    )
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="NIFTI",
        help="brain mask on the grid of the scan (default: found in the scan)",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """The options of a command that translates."""
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="weights.safetensors of a trained model, its config.json beside it "
        "(results/<study>/models/<model>/)",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        help="how the model translates (default: as it was trained; a regression is made "
        "self-consistent)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--steps", type=whole(1, 1000), default=SAMPLING["steps"], help="of the sampler"
    )
    parser.add_argument(
        "--draws",
        type=whole(1, 1000),
        default=SAMPLING["draws"],
        help="their mean is the translation",
    )
    parser.add_argument("--seed", type=whole(0, 2**63 - 1), default=1, help="of the noise")
    parser.add_argument(
        "--spacing",
        type=number(0.1, 50),
        metavar="MM",
        help="from slice to slice (default: the model's pixel size)",
    )


def scans_of(given: argparse.Namespace) -> list[str]:
    """The scans that the options name, each with the number of its volume if one is given.

    Raises:
        StudyError: none is named, or a number or a mask is given for several.
    """
    named = [*given.scans, *([given.source] if given.source else [])]
    if not named:
        raise StudyError("name a scan to work on, such as scan.nii.gz")
    if len(named) > 1 and (given.mask or given.volume is not None):
        raise StudyError("--mask and --volume are of one scan; give the scans one by one")
    return named if given.volume is None else [f"{named[0]}#{given.volume}"]


def files_read(given: argparse.Namespace, scans: Sequence[str]) -> list[Path]:
    """The files that are read: scans, mask, weights and their config."""
    files = [split_volume(scan)[0] for scan in scans]
    files += [given.mask] if given.mask else []
    return files + ([given.weights, config_of(given.weights)] if given.weights else [])


def config_of(weights: Path) -> Path:
    """What says what weights are, beside them."""
    return weights.with_name("config.json")


def load(given: argparse.Namespace) -> tuple[Method, Slices, torch.device]:
    """The method that the options ask for, its slices and the device.

    Raises:
        StudyError: weights or config.json are missing or do not fit.
    """
    if given.weights is None:
        given.weights = weights_of(DEFAULT_MODEL)
    device = pick_device(given.device)
    settings = _settings(given.weights)
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
        named = str(given.weights) in str(error)
        raise error if named else StudyError(f"{given.weights}: {error}") from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise StudyError(
            f"{config_of(given.weights)}: does not describe the model ({one_line(error)}); take "
            "the file that lies beside the weights of the study"
        ) from error
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
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(settings, dict) or "family" not in settings:
        raise StudyError(f"{path}: is not the config of a trained model")
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


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an option that takes a whole number from ``low`` to ``high``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not in {low}..{high}")
        return value

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of an option that takes a number from ``low`` to ``high``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= high:  # not a number is in no range
            raise argparse.ArgumentTypeError(f"{text} is not in {low:g}..{high:g}")
        return value

    return read


class OneLine(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the options, and end with status 2."""
        self.exit(2, f"ERROR {message}; see {self.prog} --help\n")
