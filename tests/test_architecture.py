"""The arrows of the house: rules -> scripts -> lmidiff, and inside the package downwards only."""

import ast
import sys
from pathlib import Path

import pytest
from conftest import TOGETHER

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workflow" / "lmidiff"


def imports_of(path: Path) -> set[str]:
    """Full names of everything a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def modules(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in PACKAGE.glob(pattern))


@pytest.mark.parametrize("path", modules("**/*.py"), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_package_knows_nothing_of_snakemake(path):
    assert not {name for name in imports_of(path) if name.split(".")[0] == "snakemake"}


@pytest.mark.parametrize("path", modules("lmi/*.py", "diffusion.py"), ids=lambda p: p.name)
def test_core_imports_torch_and_itself_alone(path):
    allowed = sys.stdlib_module_names | {"torch", "numpy"}  # torch brings numpy
    for name in imports_of(path):
        top = name.split(".")[0]
        assert top in allowed or name.startswith("lmidiff.lmi"), name


@pytest.mark.parametrize(
    "path",
    modules(
        *(f"{name}/*.py" for name in ("data", "evaluation", "figures", "report", "verdicts")),
        "records/recorded.py",
    ),
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_data_and_evaluation_never_import_methods(path):
    forbidden = (
        "lmidiff.methods",
        "lmidiff.models",
        "lmidiff.training.loop",
        "lmidiff.study.study",
    )
    assert not {name for name in imports_of(path) if name.startswith(forbidden)}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "workflow/scripts").glob("*.py")), ids=lambda p: p.name
)
def test_scripts_are_thin(path):
    assert len(path.read_text().splitlines()) <= 40


@pytest.mark.parametrize("path", modules("**/*.py"), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_have_one_job(path):
    assert len(path.read_text().splitlines()) <= 400, "split it"
    assert ast.get_docstring(ast.parse(path.read_text())) or path.stat().st_size == 0


def test_front_door_is_short():
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 65


@pytest.mark.parametrize("path", sorted((ROOT / "tests").glob("test_*.py")), ids=lambda p: p.name)
def test_files_of_one_costly_fixture_run_in_one_process(path):
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    own = {function.name for function in functions}
    short = [f for f in functions if "long_test" not in {ast.unparse(d) for d in f.decorator_list}]
    asked = {argument.arg for function in short for argument in function.args.args} - own
    costly = asked & {"finished", "small"}
    marked = "pytest.mark.study" in path.read_text()
    assert not marked or costly <= {TOGETHER.get(path.name)}, (
        f"{path.name} asks for {costly}: name it in conftest.TOGETHER, or they are made twice"
    )
