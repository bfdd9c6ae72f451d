"""What a result was made from: the modules behind a script, versions, hashes, the device."""

import hashlib
import importlib.metadata
import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lmidiff.common.files import sha256, sha256_of

PACKAGE = Path(__file__).parents[1]

#: Modules that report or guard but cannot change a number: editing them reruns nothing.
PLUMBING = {
    "lmidiff",
    "lmidiff.common.errors",
    "lmidiff.common.jobs",
    "lmidiff.common.locks",
    "lmidiff.common.logs",
    "lmidiff.common.outputs",
    "lmidiff.common.progress",
    "lmidiff.common.cards",
    "lmidiff.methods",  # these two list what there is: a new one changes none of the others
    "lmidiff.models",
    "lmidiff.models.launch",
    "lmidiff.training.lease",
    "lmidiff.training.stopping",
}

DISTRIBUTIONS = (
    "snakemake",
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "nibabel",
    "scikit-learn",
    "scikit-image",
    "monai",
    "SimpleITK",
    "nilearn",
    "matplotlib",
    "seaborn",
    "safetensors",
)


_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|.+)|import[ \t]+(.+))$", re.MULTILINE
)
_NAME = re.compile(r"(?:\s|#.*\n)*([\w.]+)")


def modules_behind(script: str | Path, *modules: str) -> list[str]:
    """Files of the package that a script's result depends on, by following its imports.

    Those inside functions count.

    Args:
        script: a Python file that imports the package.
        modules: further modules, which are found by name at run time, such as a model family.

    Returns:
        Sorted paths, without the plumbing that cannot change a result.
    """
    return list(_behind(Path(script), modules))


@cache
def _behind(script: Path, modules: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, Path] = {}
    todo = [*_imports(script), *modules]
    while todo:
        name = todo.pop()
        path = _file_of(name)
        if path and name not in found and name not in PLUMBING:
            found[name] = path
            todo.extend(_imports(path))
    return tuple(sorted(map(str, found.values())))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a result depends on."""
    packages = {name: importlib.metadata.version(name) for name in DISTRIBUTIONS}
    return {"python": platform.python_version(), **packages}


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """The modules of the package that a file imports, anywhere in it.

    Read line by line: every plan of a study asks, and parsing all modules is a tenth of its time.
    """
    names: list[str] = []
    for module, own, plain in _IMPORT.findall(path.read_text()):
        imported = [_NAME.match(part) for part in (own or plain).strip("()").split(",")]
        found = [name.group(1) for name in imported if name]
        names += [module, *(f"{module}.{name}" for name in found)] if module else found
    return tuple(name for name in dict.fromkeys(names) if _file_of(name))


@cache
def _file_of(module: str) -> Path | None:
    """The file of a module of the package, None if there is none."""
    root, *parts = module.split(".")
    if root != PACKAGE.name:
        return None
    stem = PACKAGE.joinpath(*parts)
    places = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((path for path in places if path.is_file()), None)


def record(
    files: Mapping[str, Sequence[str]],
    config: Mapping[str, Any],
    device: str,
    members: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    """The record of a study.

    Args:
        files: by kind ("data", "weights", "metrics"), the files to hash.
        config: the resolved config.
        device: that the models were trained on, in words.
        members: (subject, split, cohort) of everybody; a cohort's list is not in the config.
    """
    code = sorted([*PACKAGE.rglob("*.py"), *PACKAGE.parent.glob("*/*.smk"), *_scripts()])
    return {
        "study": config["study"],
        "config_sha256": _digest(config),
        "study_sha256": _digest([config, sorted(map(list, members))]),
        "code_sha256": sha256_of(code),
        "commit": _commit(),
        "device": device,
        "versions": versions(),
        "files": {
            kind: {str(path): sha256(path) for path in paths} for kind, paths in files.items()
        },
    }


def devices_of(weights: Sequence[str | Path]) -> str:
    """The devices that weights were trained on, in words, each once, as trainings wrote them.

    Args:
        weights: files of models, each with its ``config.json`` beside it.
    """
    beside = [Path(path).with_name("config.json") for path in weights]
    named = [json.loads(path.read_text()).get("device") for path in beside if path.is_file()]
    return "; ".join(dict.fromkeys(name for name in named if name)) or "nothing trained"


def origin(inputs: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
    """The record of a benchmark, written beside its numbers.

    Args:
        inputs: a rule's named inputs; ``code`` are the modules, the others are hashed by name.
    """
    given = {k: [v] if isinstance(v, str) else list(v) for k, v in inputs.items() if k != "code"}
    return {
        "code_sha256": sha256_of(inputs["code"]),
        "commit": _commit(),
        "versions": versions(),
        "files": {
            name: {Path(path).name: sha256(path) for path in paths} for name, paths in given.items()
        },
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _scripts() -> list[Path]:
    root = PACKAGE.parents[1]
    return [*PACKAGE.parent.glob("scripts/*.py"), root / "Snakefile"]


def _commit() -> str:
    """The commit of the working copy, "+changes" if it is not clean, or "unknown"."""
    git = ["git", "-C", str(PACKAGE)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if changed else "")
