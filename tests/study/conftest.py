"""The smoke study's config, and what is laid over it."""

import pytest
import yaml

from lmidiff.study.models import merge
from studies import CROSSED, FOLDED
from workflows import ROOT


@pytest.fixture
def config() -> dict:
    default, smoke = (
        yaml.safe_load((ROOT / "config" / name).read_text())
        for name in ("config.yaml", "smoke.yaml")
    )
    return merge(default, smoke)


@pytest.fixture
def folded(config: dict) -> dict:
    return merge(config, FOLDED)


@pytest.fixture
def crossed(config: dict) -> dict:
    return merge(config, CROSSED)
