"""Every family trains and every method translates on whatever device this machine has.

On a machine with a GPU this is where its paths are tried; without one the processor stands in, and
what is compared with the processor is compared with itself.
"""

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lmidiff.benchmarks.measure import load_config
from lmidiff.common.devices import pick_device, set_up
from lmidiff.common.errors import Interrupted
from lmidiff.data.nifti import write_nifti
from lmidiff.data.training_data import TrainingData
from lmidiff.lmi import ESTIMATORS, local_mutual_information
from lmidiff.methods import METHODS
from lmidiff.methods.build import build_method
from lmidiff.models import FAMILIES, family_module, family_of
from lmidiff.study.models import merge
from lmidiff.training import loop
from method_cases import brains
from workflows import ROOT

CPU = torch.device("cpu")
DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else CPU
SIZE, STEPS = 32, 4
CONFIG = load_config(ROOT / "config/config.yaml", ROOT / "config/smoke.yaml")
SHORT = {"steps": STEPS, "checkpoint_every": 2, "log_every": 1, "precision": "float32"}
IDS = [("sub-01", 0), ("sub-01", 1), ("sub-02", 0)]


@pytest.fixture(autouse=True)
def _as_a_job_computes():
    """Deterministic kernels, an error where there is none, as every job of a study asks for."""
    mode = torch.get_deterministic_debug_mode()
    set_up(torch.get_num_threads())
    yield
    torch.set_deterministic_debug_mode(mode)


def slices(count: int, seed: int) -> torch.Tensor:
    """Discs of random tissue (count, 1, SIZE, SIZE) in 0..1, with air around them."""
    small = brains(count, seed)
    large = torch.nn.functional.interpolate(small, size=(SIZE, SIZE), mode="nearest")
    noise = torch.rand(large.shape, generator=torch.Generator().manual_seed(seed))
    return large * (0.8 + 0.2 * noise)


SOURCE = slices(len(IDS), 5)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training people in two modalities."""
    folder = tmp_path_factory.mktemp("accelerator")
    for number in (1, 2):
        target = slices(3, number)
        for name, stack in (("T1w", target), ("PDw", (1 - target) * (target > 0))):
            volume = stack[:, 0].permute(1, 2, 0).numpy()
            write_nifti(folder / f"sub-0{number}_{name}.nii.gz", volume, np.eye(4))
        labels = (1 + np.digitize(target[:, 0].permute(1, 2, 0).numpy(), [0.4, 0.7])).astype("u1")
        brain = target[:, 0].permute(1, 2, 0).numpy() > 0
        write_nifti(folder / f"sub-0{number}_dseg.nii.gz", labels * brain, np.eye(4))
    return folder


def handed(folder: Path, needs: frozenset[str]) -> TrainingData:
    files = {
        "target": sorted(folder.glob("*_T1w.nii.gz")),
        "source": sorted(folder.glob("*_PDw.nii.gz")),
        "labels": sorted(folder.glob("*_dseg.nii.gz")),
    }
    files["pairs"] = sorted([*files["target"], *files["source"]])
    return TrainingData({role: files[role] for role in needs}, needs)


def model_block(name: str) -> dict:
    """A model's block of the smoke study, complete, a few steps long."""
    own = CONFIG["models"][name]
    family = family_of(own["family"])
    block = copy.deepcopy(merge({k: CONFIG["model_defaults"][k] for k in family.defaults}, own))
    if "training" in block:
        block["training"] = {"seed": 1, **block["training"], **SHORT}
    return block


def train(folder: Path, name: str, state: Path, device: torch.device, **training) -> dict:
    block = model_block(name)
    if "training" in block:
        block["training"].update(training)
    seen = handed(folder, family_of(block["family"]).needs)
    return family_module(block["family"]).fit(block, seen, state, device, name)[0]


ONE_OF_EACH = {block["family"]: name for name, block in CONFIG["models"].items()}


def test_no_family_is_left_out():
    assert ONE_OF_EACH.keys() == FAMILIES.keys()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_lmi_maps_are_those_of_the_processor(estimator):
    other = slices(len(IDS), 6)
    expected = local_mutual_information(SOURCE, other, estimator=estimator)
    found = local_mutual_information(SOURCE.to(DEVICE), other.to(DEVICE), estimator=estimator)
    assert found.device.type == DEVICE.type
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=2e-4)


class StopsAtStepTwo:
    """A request to stop that comes during the second step."""

    reason = "the test"

    def __init__(self, *_: object) -> None:
        self.asked = 0

    def __enter__(self) -> "StopsAtStepTwo":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __bool__(self) -> bool:
        self.asked += 1
        return self.asked == 2


@pytest.mark.parametrize("name", ONE_OF_EACH.values(), ids=ONE_OF_EACH)
def test_training_gives_the_same_bits_twice_and_when_resumed(data, tmp_path, monkeypatch, name):
    whole = train(data, name, tmp_path / "whole", DEVICE)
    if "training" in model_block(name):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "StopRequest", StopsAtStepTwo)
            with pytest.raises(Interrupted, match="at step 2 of 4"):
                train(data, name, tmp_path / "again", DEVICE)
    again = train(data, name, tmp_path / "again", DEVICE)
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    assert all(bool(torch.isfinite(value).all()) for value in whole.values())
    assert all(value.device.type == "cpu" for value in whole.values()), "published from the CPU"


@pytest.mark.parametrize("name", ["lmidiffusion", "lmidiffusion_cr", "cr_regression"])
def test_the_first_steps_are_those_of_the_processor(data, tmp_path, name):
    there = train(data, name, tmp_path / "there", DEVICE)
    here = train(data, name, tmp_path / "here", CPU)
    for key, value in here.items():
        torch.testing.assert_close(there[key], value, rtol=0.02, atol=2e-3, msg=key)


def build(folder: Path, name: str, state: Path, device: torch.device, precision: str = "float32"):
    block = {k: v for k, v in CONFIG["methods"][name].items() if k not in ("tune", "label")}
    tuned = {k: v[0] for k, v in (CONFIG["methods"][name].get("tune") or {}).items()}
    model = block.pop("model", None)
    model = model["PDw"] if isinstance(model, dict) else model
    job = {"name": name, "family": None, "settings": block}
    weights = []
    if model:
        job["model"] = model_block(model)
        job["family"] = job["model"]["family"]
        path = state / f"{model}.safetensors"
        if not path.exists():
            save_file(train(folder, model, state / model, CPU), path)
        weights = [str(path)]
        if job["family"] == "diffusion":
            job["settings"] = {**CONFIG["sampling"], **job["settings"], "precision": precision}
    return build_method(job, tuned, weights, 1, device)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


TRANSLATES = [name for name in CONFIG["methods"] if name not in ("lookup", "oracle")]


@pytest.mark.parametrize("name", TRANSLATES)
def test_a_method_translates_as_on_the_processor(data, trained, name):
    method, on_processor = (build(data, name, trained, device) for device in (DEVICE, CPU))
    with torch.no_grad():
        found = method.translate(SOURCE.to(DEVICE), IDS).image.cpu()
        again = method.translate(SOURCE.to(DEVICE), IDS).image.cpu()
        expected = on_processor.translate(SOURCE, IDS).image
    assert torch.equal(found, again)
    assert found.shape == SOURCE.shape
    inside = (SOURCE > 0).expand_as(found)
    away = (found - expected).abs()[inside]
    assert float(away.mean()) < 5e-3, "the same draws, the same picture"


def test_half_precision_moves_a_translation_little(data, trained):
    images = {}
    for precision in ("float32", "bfloat16"):
        method = build(data, "lmidiffusion", trained, DEVICE, precision)
        with torch.no_grad():
            images[precision] = method.translate(SOURCE.to(DEVICE), IDS).image.cpu()
    assert not torch.equal(images["float32"], images["bfloat16"]), "bfloat16 was not used"
    assert float((images["float32"] - images["bfloat16"]).abs().mean()) < 0.02


def test_every_method_of_the_package_is_tried():
    missing = set(METHODS) - set(CONFIG["methods"])
    assert missing <= {"lmidiffusion_grad"}, f"give the smoke study a row of {missing}"


@pytest.mark.skipif(DEVICE.type != "cuda", reason="this machine has no GPU")
def test_a_job_takes_the_gpu():
    assert pick_device("auto").type == "cuda"
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
