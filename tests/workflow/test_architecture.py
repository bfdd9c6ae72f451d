"""The arrows of the house: rules -> scripts -> lmidiff, and inside the package downwards only."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from together import TOGETHER

ROOT = Path(__file__).parents[2]
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


CORE = ("lmi", "options", "diffusion", "guidance", "sampler")
#: From the ground up: a room imports those below it, and of its own line itself alone.
LAYERS = (
    {"common"},
    {*CORE, "networks", "images"},
    {"data"},
    {"training"},
    {"models"},
    {"methods"},
    {"evaluation"},
    {"study"},
    {"verdicts", "records"},
    {"figures"},
    {"report"},
    {"benchmarks"},
    {"cli"},
    {"__main__"},
)
FLOOR = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
#: Rooms of one floor that may ask each other: the core is one thing, and a network may see maps.
NEIGHBOURS = {(one, other) for one in CORE for other in CORE} | {("networks", "lmi")}


@pytest.mark.parametrize("path", modules("lmi/*.py", *(f"{name}.py" for name in CORE[1:])))
def test_core_imports_torch_and_itself_alone(path):
    allowed = sys.stdlib_module_names | {"torch", "numpy"}  # torch brings numpy
    own = tuple(f"lmidiff.{name}" for name in CORE)
    for name in imports_of(path):
        assert name.split(".")[0] in allowed or name.startswith(own), name


@pytest.mark.parametrize("path", modules("**/*.py"), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_go_down(path):
    """Which rooms a file may import: the whole order, not a part of it."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return  # it names the core, when it is asked for
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "lmidiff" or len(parts) < 2:
            continue
        other = parts[1]
        below = FLOOR[other] < FLOOR[room] or other == room or (room, other) in NEIGHBOURS
        assert below, f"{room} (floor {FLOOR[room]}) imports {name} (floor {FLOOR[other]})"


def test_every_room_has_a_floor():
    rooms = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    rooms |= {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms == FLOOR.keys()


def test_what_one_lifts_out_brings_torch_alone():
    code = (
        "import sys, lmidiff\n"
        "from lmidiff import *\n"
        "assert lmidiff.draw and lmidiff.Schedule\n"
        "heavy = {'nibabel', 'pandas', 'monai', 'sklearn', 'safetensors', 'SimpleITK'}\n"
        "print(sorted(n for n in sys.modules if n in heavy or n.startswith('lmidiff.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = ast.literal_eval(done.stdout)
    assert {name.split(".")[1] for name in found} == set(CORE)


def test_the_example_runs():
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "translate_array.py")],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("(2, 1, 32, 32) in 0.")


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
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 90


def test_a_clone_is_small():
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in set(done.stdout.split("\0")) - {""}]
    sizes = {path: path.stat().st_size for path in files if path.is_file()}
    largest = sorted(sizes, key=sizes.get)[-5:]
    assert sum(sizes.values()) <= 25_000_000, f"pack or leave out; the largest: {largest}"


def test_names_of_test_files_are_their_own():
    """Two of one name in different folders are one module to Python: the second is not run."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.stem != "conftest"]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("path", modules("**/*.py"), ids=lambda p: p.stem)
def test_nothing_asks_the_wall_clock(path):
    """A clock that is set back or forward while a study runs changes nothing: time is monotonic."""
    asked = {"time", "time_ns", "now", "utcnow", "today", "localtime", "gmtime", "ctime"}
    clocks = {"time", "datetime", "date", "datetime.datetime", "datetime.date"}
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    found = [
        ast.unparse(call)
        for call in calls
        if isinstance(call, ast.Attribute)
        and call.attr in asked
        and ast.unparse(call.value) in clocks
    ]
    assert not found


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda p: p.name)
def test_files_of_one_costly_fixture_run_in_one_process(path):
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    own = {function.name for function in functions}
    short = [f for f in functions if "long_test" not in {ast.unparse(d) for d in f.decorator_list}]
    asked = {argument.arg for function in short for argument in function.args.args} - own
    costly = asked & {"finished", "small"}
    marked = re.search(r"pytest\.mark\.(study|variant)", path.read_text())
    assert not marked or costly <= {TOGETHER.get(path.name)}, (
        f"{path.name} asks for {costly}: name it in helpers/together.py, or they are made twice"
    )
