"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import SCORES, SMALL, overlay
from workflows import SMOKE, copy_project, run


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
