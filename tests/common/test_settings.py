"""From a block of the config to settings: numbers from a command line, blocks inside blocks."""

from dataclasses import dataclass

import pytest

from lmidiff.common.errors import StudyError
from lmidiff.common.settings import settings_of
from lmidiff.methods import METHODS, settings_for
from lmidiff.methods.settings import GradientSettings, InversionSettings
from lmidiff.options import Guidance


@dataclass(frozen=True)
class Inner:
    width: int = 3
    names: tuple[str, ...] = ("a",)


BLOCK = Inner(width=5)


@dataclass(frozen=True)
class Outer:
    steps: int = 4
    rate: float = 0.5
    name: str = "x"
    on: bool = False
    inner: Inner = BLOCK


def test_a_block_inside_is_laid_on_its_default():
    made = settings_of(Outer, {"inner": {"names": ["b", "c"]}}, "here")
    assert made == Outer(inner=Inner(width=5, names=("b", "c")))
    assert settings_of(Outer, {}, "here") == Outer()
    with pytest.raises(StudyError, match=r"config: here\.inner\.wide is not a known key"):
        settings_of(Outer, {"inner": {"wide": 3}}, "here")


def test_text_is_a_number_where_a_number_belongs():
    made = settings_of(Outer, {"steps": "-7", "rate": "1e-3", "name": "3"}, "here")
    assert (made.steps, made.rate, made.name) == (-7, 0.001, "3")
    assert isinstance(made.steps, int)
    with pytest.raises(StudyError, match=r"config: here\.rate: 'fast' is not a number"):
        settings_of(Outer, {"rate": "fast"}, "here")


def test_every_method_has_settings_that_stand_without_a_block():
    for name, method in METHODS.items():
        assert settings_for(name, {}) == method.settings()


@pytest.mark.parametrize(
    ("name", "kind", "kept"),
    [
        ("lmidiffusion_grad", GradientSettings, {"condition": "none", "search": True}),
        ("stylegan", InversionSettings, {"bandwidths": (8.0, 24.0), "search": False}),
    ],
)
def test_the_maps_of_a_method_keep_what_its_block_does_not_say(name, kind, kept):
    made = settings_for(name, {"guidance": {"patch_size": 5}})
    assert isinstance(made, kind)
    assert isinstance(made.guidance, Guidance)
    assert made.guidance.patch_size == 5
    assert {key: getattr(made.guidance, key) for key in kept} == kept


@pytest.mark.parametrize(
    ("name", "block", "said"),
    [
        ("sdedit", {"strength": 0}, r"methods\.sdedit: strength 0 is not in \(0, 1\]"),
        ("ilvr", {"factor": 2.5}, r"methods\.ilvr: factor 2\.5 is not a whole number"),
        ("ilvr", {"stop": 1}, r"methods\.ilvr: stop 1 is not in \[0, 1\)"),
        ("lookup", {"bins": 1}, r"methods\.lookup: bins 1 is not a whole number above 1"),
        ("source", {"strength": 1}, r"methods\.source\.strength is not a known key"),
        ("self_consistent", {"prior": 2}, r"methods\.self_consistent: prior 2 is not in \[0, 1\]"),
        ("self_consistent", {"steps": 0}, r"methods\.self_consistent: steps must be 1 to 10000"),
        ("lmidiffusion_grad", {"guidance": {"estimator": "reference"}}, "passes no gradient"),
        ("cyclegun", {}, "unknown method 'cyclegun'"),
        ("sdedit", {"strength": float("nan")}, r"methods\.sdedit\.strength: nan is no number"),
        ("sdedit", {"steps": "nan"}, r"methods\.sdedit\.steps: nan is no number"),
        ("sdedit", {"steps": 10**12}, r"methods\.sdedit: steps must be 1 to 10000"),
        ("sdedit", {"draws": 10**12}, r"methods\.sdedit: draws must be 1 to 1000"),
        ("stylegan", {"candidates": 10**9}, r"methods\.stylegan: candidates must be at most"),
        ("stylegan", {"guidance": {"patch_size": 10001}}, "patch_size must be odd and of 3 to 15"),
    ],
)
def test_a_wrong_setting_is_named(name, block, said):
    with pytest.raises(StudyError, match=said):
        settings_for(name, block)
