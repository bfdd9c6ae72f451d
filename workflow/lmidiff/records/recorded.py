"""Recorded runs: what of a finished study is kept in the repository."""

import shutil
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path

from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic_folder, sha256
from lmidiff.records.packed import pack
from lmidiff.study.repeats import FOLD_MARK, MARK

PREVIEWS = "models/*/previews.npz"
KEPT = (
    "metrics.csv",
    "slices.csv",
    "split.tsv",
    "table1.*",
    "verdicts.csv",
    "verdict_parts.csv",
    "comparisons.csv",
    "gap.csv",
    "lesions.csv",
    "figures/lesions.csv",
    "volumes.csv",
    "figures/volumes.csv",
    "structures.csv",
    "figures/structures.csv",
    "report.md",
    "figures/samples.csv",  # drawn from weights, which need not be kept
    "figures/figure2.png",
    "figures/ablation.png",
    "figures/lesions.png",
    "figures/volumes.png",
    "figures/structures.png",
    "figures/pareto.png",
    "figures/training_cost.png",
    "figures/samples.png",
    "extracts/*",
    "cost/translate/*.tsv",
    "record/*",
    "tuning/*.csv",
    "models/*/curve.csv",
    PREVIEWS,
    "models/*/config.json",
    "models/kmeans*/kmeans.json",
)
#: Left out all the same: pictures and costs are of the first training of each network.
LEFT = tuple(
    pattern
    for mark in (MARK, FOLD_MARK)
    for pattern in (f"models/*{mark}*/previews.npz", f"cost/translate/*{mark}*.tsv")
)
#: What a record can do without, and what goes with it: a figure, a page.
SPARED = {
    "previews": PREVIEWS,  # pictures taken while training
    "samples": "figures/samples.*",  # what unconditional models draw
    "figure2": "figures/figure2.png",  # `make figures` draws this one and the next two again
    "training_cost": "figures/training_cost.png",
    "volumes": "figures/volumes.png",
    "figure1": "extracts/trajectories.*",  # what is drawn step by step
    "viewer": "extracts/viewer.safetensors",  # one person's volumes, to scroll through
}
#: Files that are kept packed.
PACKED = (
    "metrics.csv",
    "slices.csv",
    "volumes.csv",
    "table1.tex",
    "extracts/*.safetensors",
    "extracts/sparsification.csv",
    PREVIEWS,
)
NEEDED = ("metrics.csv", "slices.csv", "table1.csv", "verdicts.csv", "comparisons.csv", "report.md")
NEEDED += tuple(f"record/{name}" for name in ("config.yaml", "cost.csv", "provenance.json"))
SUMS = "SHA256SUMS"


def record(
    folder: Path,
    reference: Path,
    *additions: Callable[[Path, Path], object],
    without: Iterable[str] = (),
) -> Path:
    """Copy what is worth keeping of ``folder`` to ``reference/<study>``, with checksums.

    Figures and their numbers are drawn from what is kept (``make figures``); kept are those that
    pages show, and those that are drawn from weights.

    Args:
        folder: the finished study's.
        reference: where recorded runs lie.
        *additions: called with ``folder`` and the record's folder, to write more into the latter.
        without: keys of ``SPARED``: what to leave out.

    Raises:
        StudyError: the study has not finished.
    """
    for needed in NEEDED:
        if not (folder / needed).is_file():
            raise StudyError(f"{folder / needed}: missing; finish the study before recording it")
    goal = reference / folder.name
    if goal.exists() and goal.samefile(folder):
        raise StudyError(f"{folder}: is the record itself; name the finished study's folder")
    with atomic_folder(goal) as temporary:
        unwanted = [*LEFT, *(SPARED[name] for name in without)]
        left = {path for pattern in unwanted for path in folder.glob(pattern)}
        files = sorted({path for pattern in KEPT for path in folder.glob(pattern)} - left)
        for path in files:
            copy = temporary / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if any(fnmatch(str(path.relative_to(folder)), pattern) for pattern in PACKED):
                pack(path, copy)
            else:
                shutil.copyfile(path, copy)
        for add in additions:
            add(folder, temporary)
        kept = sorted(path for path in temporary.rglob("*") if path.is_file())
        lines = [f"{sha256(path)}  {path.relative_to(temporary)}\n" for path in kept]
        (temporary / SUMS).write_text("".join(lines))
    return goal


def check_record(folder: Path) -> None:
    """Raise StudyError unless the folder holds every recorded file as it was, and no other."""
    if not (folder / SUMS).is_file():
        raise StudyError(f"{folder / SUMS}: missing; record the study again")
    listed = {SUMS}
    for line in (folder / SUMS).read_text().splitlines():
        expected, name = line.split("  ", 1)
        listed.add(name)
        path = folder / name
        if not path.is_file():
            raise StudyError(f"{path}: recorded, but missing; record the study again")
        if sha256(path) != expected:
            raise StudyError(f"{path}: differs from what was recorded; never edit it by hand")
    for path in sorted(folder.rglob("*")):
        if path.is_file() and str(path.relative_to(folder)) not in listed:
            raise StudyError(f"{path}: was not recorded; record the study again")
