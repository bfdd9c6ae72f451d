"""The schemas: in step with the dataclasses they stand for, and what their messages say."""

import copy
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import SCHEMAS, check_config
from lmidiff.common.settings import settings_of
from lmidiff.data.grid import Grid
from lmidiff.data.simulate import _RANGES, SimulationSettings
from lmidiff.data.splits import SPLITS
from lmidiff.diffusion import PARAMETERISATIONS
from lmidiff.images.contrast import ContrastSettings
from lmidiff.models.cyclegan import CycleGANSettings
from lmidiff.models.diffusion import RANGES, DiffusionSettings
from lmidiff.models.stylegan import StyleGANSettings
from lmidiff.networks.unet import UNetSettings
from lmidiff.options import (
    CONDITIONS,
    ESTIMATORS,
    PRECISIONS,
    SAMPLER_NAMES,
    VARIANCES,
    Guidance,
    Sampling,
)
from lmidiff.training.learner import TrainingSettings

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((SCHEMAS / "config.schema.yaml").read_text())
BLOCKS = {
    "cyclegan": CycleGANSettings,
    "diffusion": DiffusionSettings,
    "guidance": Guidance,
    "contrast": ContrastSettings,
    "unet": UNetSettings,
    "stylegan": StyleGANSettings,
    "training": TrainingSettings,
    "simulation": SimulationSettings,
    "sampling": Sampling,
}


@pytest.fixture
def config() -> dict:
    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def put(config: dict, key: str, value: object) -> dict:
    """A copy of the config with one key set, written as ``data.grid.slices``."""
    changed = copy.deepcopy(config)
    block = changed
    *parents, last = key.split(".")
    for name in parents:
        block = block.setdefault(name, {})
    block[last] = value
    return changed


def message_of(config: dict) -> str:
    with pytest.raises(StudyError) as caught:
        check_config(config)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("config: ")
    return text


@pytest.mark.parametrize(("block", "kind"), BLOCKS.items())
def test_schema_and_dataclass_have_the_same_keys_and_defaults_fit(block: str, kind: type) -> None:
    rules = SCHEMA["$defs"][block]
    assert rules["additionalProperties"] is False
    assert set(rules["properties"]) == {field.name for field in fields(kind)}
    assert settings_of(kind, {}, block) == kind()


@pytest.mark.parametrize(
    ("block", "kind"), [(b, k) for b, k in BLOCKS.items() if b != "simulation"]
)
def test_the_default_config_is_the_one_place_for_defaults(
    block: str, kind: type, config: dict
) -> None:
    """It names every key of a block, so that no study falls back on what a class has alone."""
    given = config["sampling"] if block == "sampling" else config["model_defaults"][block]
    assert set(given) == {field.name for field in fields(kind)} - {"seed"}


def test_the_grids_keys() -> None:
    rules = SCHEMA["properties"]["data"]["properties"]["grid"]
    assert set(rules["properties"]) == {field.name for field in fields(Grid)}


@pytest.mark.parametrize(
    ("block", "key", "allowed"),
    [
        ("diffusion", "parameterisation", PARAMETERISATIONS),
        ("diffusion", "range", RANGES),
        ("guidance", "condition", CONDITIONS),
        ("guidance", "estimator", ESTIMATORS),
        ("training", "precision", PRECISIONS),
        ("sampling", "precision", PRECISIONS),
        ("sampling", "sampler", SAMPLER_NAMES),
        ("sampling", "variance", VARIANCES),
    ],
)
def test_schema_and_code_allow_the_same_values(block: str, key: str, allowed: tuple) -> None:
    assert set(SCHEMA["$defs"][block]["properties"][key]["enum"]) == set(allowed)


def test_ranges_of_the_simulation() -> None:
    rules = SCHEMA["$defs"]["simulation"]["properties"]
    assert {name: (r["minimum"], r["maximum"]) for name, r in rules.items()} == _RANGES


def test_splits() -> None:
    assert tuple(SCHEMA["$defs"]["counts"]["properties"]) == SPLITS


def test_the_default_config_names_every_key_of_a_model(config: dict) -> None:
    check_config(config)
    for block, settings in config["model_defaults"].items():
        hidden = {"seed"} if block == "training" else set()
        assert set(settings) == set(SCHEMA["$defs"][block]["properties"]) - hidden


NAN = float("nan")


def test_every_number_of_the_config_has_an_end() -> None:
    def open_ended(node: object, place: str) -> list[str]:
        if isinstance(node, list):
            return [found for part in node for found in open_ended(part, place)]
        if not isinstance(node, dict):
            return []
        found = [f for key, part in node.items() for f in open_ended(part, f"{place}.{key}")]
        ends = {"maximum", "exclusiveMaximum"} & set(node)
        return found + [place] * (node.get("type") in ("integer", "number") and not ends)

    assert open_ended(SCHEMA, "") == []


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("sede", 2, "sede is not a known key; known here are checkpoints, data"),
        ("data.grid.image_sise", 64, "data.grid.image_sise is not a known key"),
        ("model_defaults.training.stepz", 5, "model_defaults.training.stepz is not a known key"),
        ("model_defaults.trainin", {}, "model_defaults.trainin is not a known key"),
        ("models.lmidiffusion.guidance.paperish", 1, "models.lmidiffusion.guidance.paperish is"),
        ("models.histogram.training", {}, "models.histogram.training is not a known key"),
        ("models.cyclegan_PDw.cyclegan", {"pol": 5}, "models.cyclegan_PDw.cyclegan.pol is not a"),
        ("models.cyclegan_PDw.unet", {}, "models.cyclegan_PDw.unet is not a known key"),
        ("models.cyclegan_PDw", {"family": "cyclegan"}, "models.cyclegan_PDw.source is missing"),
        ("model_defaults.stylegan", {"r2": 1}, "model_defaults.stylegan.r2 is not a known key"),
        ("models.s", {"family": "stylegan", "unet": {}}, "models.s.unet is not a known key"),
        ("figures.samples.drawn", 1, "figures.samples.drawn: 1 is less than the minimum of 2"),
        ("models.histogram", {}, "models.histogram.family is missing"),
        ("models.histogram", 5, "models.histogram: 5 is not of type 'object', 'null'"),
        ("models.histogram.family", 5, "models.histogram.family: 5 is not of type 'string'"),
        ("data.cohorts.simulated.simulation.snrr", 9, "simulation.snrr is not a known key"),
        ("data.cohorts.simulated.simulation.snr", 0, "simulated.simulation.snr: 0 is less than"),
        ("data.cohorts.simulated.kind", "real", "data.cohorts.simulated.kind: 'real' is not one"),
        ("data.cohorts.mine", {"kind": "sheet"}, "data.cohorts.mine.sheet is missing"),
        ("data.cohorts.mine", {"kind": "labels"}, "data.cohorts.mine.subjects is missing"),
        (
            "data.cohorts.mine",
            {"kind": "labels", "target": "real"},
            "data.cohorts.mine.sheet is missing",
        ),
        (
            "data.cohorts.mine",
            {"kind": "sheet", "sheet": "a.tsv", "target": "real"},
            "data.cohorts.mine.kind 'sheet' has no label maps to simulate from",
        ),
        ("data.test_every", 0, "data.test_every: 0 is less than"),
        ("data.cohorts", {}, "data.cohorts: {} should be non-empty"),
        ("data.mirror", "ftp://x", "data.mirror 'ftp://x' is neither a folder nor a file://"),
        ("data.cohorts.x", {"kind": "ixi"}, "data.cohorts.x.split is missing"),
        ("data.target", "dseg", "data.target 'dseg' is not a plain name"),
        ("data.sources", ["PD w"], "data.sources.0 'PD w' is not a plain name"),
        ("data.sources", [], "data.sources: [] should be non-empty"),
        ("methods.a/b", {}, "methods.a/b becomes a part of file names"),
        (
            "model_defaults.training.steps",
            "many",
            "training.steps: 'many' is not of type 'integer'",
        ),
        ("model_defaults.training.steps", 20.0, "training.steps: 20.0 is not of type 'integer'"),
        ("model_defaults.training.steps", True, "training.steps: True is not of type 'integer'"),
        ("model_defaults.training.steps", 0, "training.steps: 0 is less than the minimum of 1"),
        ("model_defaults.training.learning_rate", "1e-3", "learning_rate: '1e-3' is not of type"),
        ("model_defaults.guidance.condition", "all", "guidance.condition: 'all' is not one of"),
        ("sampling.sampler", "euler", "sampling.sampler: 'euler' is not one of"),
        ("study", "a b", "study: 'a b' does not match"),
        ("data.percentile", NAN, "data.percentile: nan is no number"),
        ("data.grid.extent", [0.2, NAN], "data.grid.extent.1: nan is no number"),
        ("model_defaults.training.learning_rate", NAN, "learning_rate: nan is no number"),
        ("model_defaults.cyclegan.lambda_cycle", float("inf"), "lambda_cycle: inf is no number"),
        ("methods.stylegan", {"rate": NAN}, "methods.stylegan.rate: nan is no number"),
        ("sampling.steps", 10**12, "sampling.steps: 1000000000000 is greater than the maximum"),
        ("sampling.draws", 10**12, "sampling.draws: 1000000000000 is greater than the maximum"),
        ("model_defaults.training.processes", 10**6, "training.processes: 1000000 is greater"),
        ("model_defaults.unet.channels", [10**9], "unet.channels.0: 1000000000 is greater"),
        ("data.cohorts.simulated.subjects.train", 10**12, "subjects.train: 1000000000000 is"),
    ],
)
def test_each_mistake_is_one_line_with_the_keys_full_name(
    config: dict, key: str, value: object, says: str
) -> None:
    assert says in message_of(put(config, key, value))


def test_an_overlay_may_drop_models_and_methods(config: dict) -> None:
    check_config(put(put(config, "models.lmidiffusion", None), "methods.lmidiffusion", None))


def test_a_missing_block(config: dict) -> None:
    del config["sampling"]
    assert "config: sampling is missing" in message_of(config)
