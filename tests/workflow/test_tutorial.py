"""The tutorial's commands, one after the other, as a reader types them."""

import re
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import pandas as pd
import pytest

from shells import PDW, T1W, shells, write_shells
from workflows import ROOT, copy_project, environment

pytestmark = pytest.mark.variant

BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/tutorial.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("tutorial") / "project")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    for seed, person in enumerate("abc"):
        for modality, contrast in (("T1w", T1W), ("PDw", PDW)):
            write_shells(folder / "my" / f"{person}_{modality}.nii.gz", shells(contrast, seed))
    return folder


def type_in(folder: Path, block: str) -> str:
    """Run a block; what `make` would set up first is there."""
    if not (ROOT / ".venv/bin/lmidiff").is_file():
        pytest.skip("needs the project's .venv (make env)")
    block = block.replace("make reproduce", "make -o .venv/.ready reproduce CORES=2")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_it_has_a_scan_data_and_a_method() -> None:
    assert len(BLOCKS) == 5


def test_every_command_does_what_the_text_says(project: Path) -> None:
    scan, page, study, method, learning = BLOCKS
    type_in(project, scan)
    made = nib.load(project / "my/a_PDw_desc-lmidiff_T1w.nii.gz")
    assert made.shape == nib.load(project / "my/a_PDw.nii.gz").shape
    assert list((project / "my").glob("*.png"))
    assert list((project / "my").glob("*.json"))
    type_in(project, page)
    assert (project / "my/a.html").stat().st_size > 10_000
    printed = type_in(project, study)
    assert "Histogram matching" in printed
    assert "Negative" not in printed
    kept = project / "results/mine/translations/histogram"
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.nii.gz")}
    printed = type_in(project, method)
    assert "Negative" in printed
    assert len(before) == 2
    assert before == {path: path.stat().st_mtime_ns for path in kept.rglob("*.nii.gz")}
    printed = type_in(project, learning)
    assert "Principal components" in printed
    table = pd.read_csv(project / "results/mine/table1.csv")
    assert set(table[table["method"] == "principal"]["training"]) == {"target"}, "so, zero-shot"
    assert (project / "results/mine/models/principal/weights.safetensors").is_file()
    assert before == {path: path.stat().st_mtime_ns for path in kept.rglob("*.nii.gz")}
