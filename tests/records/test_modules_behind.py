"""Which modules a result depends on: code as input of a rule."""

import ast
import shutil
from pathlib import Path

import pytest

from lmidiff.records.provenance import PLUMBING, modules_behind
from workflows import ROOT

SCRIPTS = ROOT / "workflow" / "scripts"


def names_behind(script: str, *modules: str) -> set[str]:
    paths = modules_behind(SCRIPTS / script, *modules)
    return {Path(path).relative_to(ROOT / "workflow" / "lmidiff").as_posix() for path in paths}


def test_training_depends_on_the_core_and_not_on_what_comes_after() -> None:
    names = names_behind("train.py", "lmidiff.models.diffusion")
    core = {
        "lmi/__init__.py",
        "diffusion.py",
        "guidance.py",
        "training/loop.py",
        "networks/unet.py",
    }
    assert core <= names
    assert "segmentation.py" not in names
    others = ("evaluation/", "figures/", "methods/", "report/", "study/", "verdicts/")
    assert not any(name.startswith(others) for name in names)


def test_modules_that_are_imported_late_count(tmp_path: Path) -> None:
    late = (
        "def f():\n    try:\n        pass\n    finally:\n        from lmidiff.data import upright\n"
    )
    (tmp_path / "script.py").write_text(f'"""import lmidiff.sampler"""\n{late}')
    names = names_behind(tmp_path / "script.py")
    assert "data/upright.py" in names
    assert not {"sampler.py", "methods/self_consistent.py"} & names


def test_every_import_of_the_package_is_followed() -> None:
    package = ROOT / "workflow" / "lmidiff"
    for path in [*package.rglob("*.py"), *SCRIPTS.glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmidiff."):
                if node.module in PLUMBING:
                    continue
                stem = package.joinpath(*node.module.split(".")[1:])
                files = {str(stem.with_suffix(".py")), str(stem / "__init__.py")}
                assert files & set(modules_behind(path)), (path, node.module)


def test_a_histogram_does_not_depend_on_lmi() -> None:
    names = names_behind("train.py", "lmidiff.models.histogram")
    assert "models/histogram.py" in names
    assert not names & {"lmi/__init__.py", "diffusion.py", "models/diffusion.py"}


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_the_modules_behind_a_script_exist_and_hold_no_plumbing(script: str) -> None:
    names = names_behind(script)
    plumbing = {name.removeprefix("lmidiff.").replace(".", "/") + ".py" for name in PLUMBING}
    assert not names & plumbing
    if script.startswith("plot"):
        assert "training/loop.py" not in names


def test_the_evaluation_does_not_depend_on_the_networks() -> None:
    for script in ("score.py", "segment.py", "collect_scores.py", "write_table.py"):
        networks = ("diffusion.py", "lmi/", "networks/", "training/")
        assert not any(name.startswith(networks) for name in names_behind(script))


def test_a_copy_elsewhere_depends_on_its_own_modules(tmp_path: Path) -> None:
    # The command line of another checkout must not hash this one's code.
    shutil.copy(SCRIPTS / "score.py", tmp_path)
    assert modules_behind(tmp_path / "score.py") == modules_behind(SCRIPTS / "score.py")
