"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import SCORES, SMALL, overlay
from workflows import SMOKE, copy_project, run

# Fixtures that take minutes to make, and the groups of tests that share them.
TOGETHER = {"finished": "smoke", "small": "small"}
SMALL_STUDY = ("test_kills.py", "test_slurm.py")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its group: with ``-n`` a group runs in one process, long groups first."""
    order = list(TOGETHER.values())
    ranks = {}
    for item in items:
        name = item.path.name
        shared = [TOGETHER[each] for each in getattr(item, "fixturenames", ()) if each in TOGETHER]
        group = shared[0] if shared else "small" if name in SMALL_STUDY else name
        item.add_marker(pytest.mark.xdist_group(group))
        ranks[item] = order.index(group) if group in order else len(order)
    items.sort(key=ranks.__getitem__)


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
