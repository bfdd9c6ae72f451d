"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters import SCORES, SMALL, overlay
from method_cases import SOURCE, SUBJECTS, untrained_models, write
from together import TOGETHER
from workflows import SMOKE, copy_project, run


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `pytest -n`, spread files over the processes; those of ``TOGETHER`` stay together."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFixture(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            name = Path(nodeid.split("::")[0]).name
            return TOGETHER.get(name, name)

    return ByFixture(config, log)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Torch on one thread: bits must not depend on the machine, nor tests fight over its cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after one smoke run; tests may add studies but must leave this one alone."""
    folder = copy_project(tmp_path_factory.mktemp("workflow") / "a project")
    run(folder, *SMOKE)
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after the scores of the small study, undisturbed, on this machine."""
    folder = copy_project(tmp_path_factory.mktemp("small") / "a project")
    run(folder, SCORES, *overlay(folder, SMALL))
    return folder


@pytest.fixture(scope="module")
def models() -> dict[str | None, Any]:
    """Tiny untrained models, by condition or family."""
    return untrained_models()


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    """PDw volumes of three people, of one to three slices."""
    folder = tmp_path / "volumes"
    return [
        write(folder / f"sub-0{i + 1}_PDw.nii.gz", SOURCE[rows]) for i, rows in enumerate(SUBJECTS)
    ]
