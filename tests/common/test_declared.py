"""What a module declares, told without running it: the same as it says once imported."""

import itertools
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from lmidiff.common import declared
from lmidiff.common.declared import Declared, Undeclared
from lmidiff.guidance import Guidance
from lmidiff.methods import METHODS, check_settings, declared_method, method_of
from lmidiff.methods.consistency import Consistency
from lmidiff.methods.stylegan import InversionSettings
from lmidiff.models import FAMILIES, declared_family, family_of
from lmidiff.sampler import Sampling

KINDS = (Guidance, Consistency, InversionSettings, Sampling)
KEYS = {field.name for kind in KINDS for field in fields(kind)}
KEYS |= {"strength", "factor", "stop", "scale", "guidance", "stepz"}
BLOCKS = ({"estimator": "parzen"}, {"estimator": "reference"}, {"estimater": "parzen"})
VALUES = (0, -1, 1, 2, 8, 0.5, 1.5, "x", "eta2", "lmi", "ddim", None, [3, 5], *BLOCKS)


def outcome(check: object, *given: object) -> tuple[type, str] | None:
    """What a check raises, None if nothing."""
    try:
        check(*given)
    except Exception as error:
        return type(error), str(error)
    return None


@pytest.mark.parametrize("name", METHODS)
def test_a_method_declares_what_its_class_has(name: str) -> None:
    told, real = declared_method(name), method_of(name)
    assert told is not real, "its module was run"
    for fact in ("label", "family", "conditions", "sees_test_target", "__module__", "__name__"):
        assert getattr(told, fact) == getattr(real, fact), fact


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_declares_what_its_module_has(name: str) -> None:
    told, real = declared_family(name), family_of(name)
    for fact in ("needs", "defaults", "__name__"):
        assert getattr(told, fact) == getattr(real, fact), fact


@pytest.mark.parametrize("name", METHODS)
def test_settings_are_checked_as_the_class_checks_them(name: str) -> None:
    said = set()
    for key, value in itertools.product(sorted(KEYS), VALUES):
        wanted = outcome(method_of(name), {key: value}, None, 1)
        assert outcome(check_settings, name, {key: value}, 1) == wanted, (key, value)
        said.add(wanted)
    assert len(said) > 5, "most of these settings are wrong, each in a way of its own"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package in place of the study's."""
    folder = tmp_path / f"pack{abs(hash(tmp_path))}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.setattr(declared, "PACKAGE", folder)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def module(package: Path, name: str, text: str) -> str:
    (package / f"{name}.py").write_text(text)
    return f"{package.name}.{name}"


CLASS = """
import torch
from dataclasses import dataclass

torch.no_such_function()  # so it cannot be run

LIMITS = (2, 3)
RANGE = {"low": LIMITS[0], "high": LIMITS[1]}


@dataclass(frozen=True)
class Settings:
    size: int = RANGE["low"]

    def __post_init__(self) -> None:
        if not within(self.size):
            raise ValueError(self.size)


def within(size: "torch.Tensor") -> bool:
    return LIMITS[0] <= size <= LIMITS[1]


class Base:
    label = "base"

    def __init__(self, size: torch.Tensor) -> None:
        self.configure(size)

    @torch.no_grad()
    def run(self) -> torch.Tensor:
        return torch.zeros(3)

    @property
    def ones(self) -> torch.Tensor:
        return torch.ones(3)


class Kind(Base):
    family = Settings().size + 1

    def configure(self, size):
        self.size = Settings(size)
"""


def test_only_what_a_name_stands_on_is_run(package: Path) -> None:
    told = Declared(module(package, "computes", CLASS))
    assert told.RANGE == {"low": 2, "high": 3}
    assert (told.Kind.label, told.Kind.family, told.Kind(3).size.size) == ("base", 3, 3)
    with pytest.raises(ValueError, match="4"):
        told.Kind(4)
    with pytest.raises(Undeclared):
        told.Kind(2).run()
    with pytest.raises(Undeclared):
        _ = told.Kind(2).ones
    assert f"{package.name}.computes" not in sys.modules


def test_names_come_through_other_modules(package: Path) -> None:
    module(package, "computes", CLASS)
    text = (
        f"from {package.name}.computes import Kind as Other\n\n\nclass Third(Other):\n    x = 1\n"
    )
    assert Declared(module(package, "third", text)).Third(2).size.size == 2


def test_a_module_of_a_package_is_asked_in_turn(package: Path) -> None:
    module(package, "computes", CLASS)
    text = f"import torch\nfrom {package.name} import computes\n\nSIZE = computes.LIMITS[1]\n"
    assert Declared(module(package, "asks", text)).SIZE == 3
    assert not {f"{package.name}.{name}" for name in ("asks", "computes")} & set(sys.modules)


def test_what_cannot_be_told_is_imported(package: Path) -> None:
    text = "import numpy\n\nSIZE = int(numpy.ones(3).sum())\n"
    name = module(package, "numbers", text)
    assert Declared(name).SIZE == 3
    assert name in sys.modules
    with pytest.raises(AttributeError, match="WIDTH"):
        _ = Declared(name).WIDTH


METHOD = """
from torch import Tensor, tensor
from {base} import Base


class Own(Base):
    def __init__(self, settings, model, seed):
        if tensor(settings["size"]) > 3:
            raise ValueError("too large")
"""


def test_a_check_that_computes_has_its_module_imported(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = module(package, "base", "class Base:\n    label = 'own'\n")
    name = module(package, "own", METHOD.format(base=base))
    monkeypatch.setitem(METHODS, "own", f"{name}:Own")
    assert declared_method("own").label == "own"
    assert name not in sys.modules
    check_settings("own", {"size": 3}, 1)
    assert name in sys.modules
    with pytest.raises(ValueError, match="too large"):
        check_settings("own", {"size": 4}, 1)


CHANGED = """
import numpy
SUM = (1,)
SUM += (2,)
BY_NAME = {}
BY_NAME["a"] = 1
if True:
    SUM = (*SUM, 3)
LIST = []
LIST.append(1)
"""


@pytest.mark.parametrize(
    ("name", "value"), [("SUM", (1, 2, 3)), ("BY_NAME", {"a": 1}), ("LIST", [1])]
)
def test_a_name_that_changes_is_not_told_half_way(package: Path, name: str, value: object) -> None:
    assert getattr(Declared(module(package, f"changed_{name.lower()}", CHANGED)), name) == value
