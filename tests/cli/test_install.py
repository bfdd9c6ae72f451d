"""The package installs, and its command works from another folder."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def python(*arguments: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in arguments], capture_output=True, text=True, timeout=300, **options
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with the setuptools at hand so that no network is needed."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "project"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "workflow"):
        (copy / name).symlink_to(ROOT / name)
    build = f"from setuptools import build_meta as b; print(b.build_wheel({str(folder)!r}))"
    done = python(sys.executable, "-c", build, cwd=copy, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(folder.glob("*.whl"))


def test_what_is_no_code_travels_too(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    held = {f"lmidiff/schemas/{p.name}" for p in (ROOT / "workflow/lmidiff/schemas").iterdir()}
    held |= {
        "lmidiff/data/brain_network.safetensors",
        "lmidiff/report/viewer.html",
        "lmidiff/report/base.html",
    }
    held |= {"lmidiff/report/vendor/niivue.umd.js.gz", "lmidiff/report/vendor/NIIVUE_LICENSE.txt"}
    assert held <= names
    assert not {name for name in names if name.startswith(("scripts/", "rules/"))}


def test_the_command_works_from_another_folder(wheel, tmp_path):
    """Installed into an empty environment that finds the dependencies beside it."""
    environment = tmp_path / "an environment"
    python(sys.executable, "-m", "venv", environment, check=True)
    own = environment / "bin" / "python"
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    install = [own, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    python(*install, env=clean, check=True)
    site = Path(sysconfig.get_paths(vars={"base": str(environment)})["purelib"])
    (site / "beside.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    done = python(environment / "bin" / "lmidiff", "--help", cwd=tmp_path, env=clean, check=False)
    assert done.returncode == 0, done.stderr
    assert "translate" in done.stdout
    where = python(own, "-c", "import lmidiff; print(lmidiff.__file__)", cwd=tmp_path, env=clean)
    assert str(environment) in where.stdout


def test_one_scan_needs_nothing_that_only_a_study_needs():
    names = [name.split(">")[0] for name in PROJECT["optional-dependencies"]["study"]]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({names}))\n"
        "from lmidiff.__main__ import main\n"
        "main(['translate', '--help'])"
    )
    path = str(ROOT / "workflow")
    done = python(sys.executable, "-c", code, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_imported_is_declared():
    """Every distribution that the package imports is a dependency, or one of the study's."""
    import ast
    import importlib.metadata

    found = set()
    for path in (ROOT / "workflow" / "lmidiff").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    of = importlib.metadata.packages_distributions()
    imported = {of[name][0].lower() for name in found - sys.stdlib_module_names if name in of}
    extra = PROJECT["optional-dependencies"]["study"]
    declared = {
        name.split(">")[0].split("=")[0].lower().replace("_", "-")
        for name in (*PROJECT["dependencies"], *extra)
    }
    brought = {"lmidiff", "markupsafe", "urllib3"}  # itself; what Jinja2 and requests bring
    assert imported - brought <= declared
