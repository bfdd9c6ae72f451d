"""Files that most commands are given."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lmidiff.evaluation.segmentation import KMeansModel
from lmidiff.models.histogram import QUANTILES
from lmidiff.models.weights import publish
from small_scans import IMAGES, brain, save


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return save(tmp_path / "data" / "sub-01_PDw.nii.gz", brain())


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return save(tmp_path / "data" / "mask.nii.gz", (brain() > 0).astype(np.uint8))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    quantiles = {"quantiles": torch.linspace(0, 1, QUANTILES), "dimming": torch.tensor(0.6)}
    publish(path, quantiles, {"family": "histogram", "images": IMAGES})
    return path


@pytest.fixture(scope="module")
def kmeans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kmeans") / "kmeans.json"
    KMeansModel((0.2, 0.5, 0.8), 100, 1).save(path)
    return path
