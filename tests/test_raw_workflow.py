"""Raw scans through the real command line: a BIDS folder with skulls to a table."""

import json
from pathlib import Path

import ixi_archive
import nibabel as nib
import numpy as np
import pytest
import yaml
from workflows import SMOKE, copy_project, orphans, planned, run

pytestmark = pytest.mark.study

SETTINGS = {
    "study": "raw",
    "data": {
        "sources": ["PDw"],
        "grid": {"image_size": 64, "pixel_size": 3.0, "slices": 4},
        "cohorts": {
            "simulated": {"subjects": {"train": 0, "val": 0, "test": 0}},
            "own": {"kind": "bids", "folder": "own", "split": "split.tsv", "aligned": False},
        },
    },
    "methods": dict.fromkeys(("inverted_histogram", "sdedit", "lmidiffusion", "lmidiffusion_cr")),
}
PEOPLE = {"sub-a": ("train", 12), "sub-b": ("test", 13)}


def bids(folder: Path) -> None:
    """Two people with skulls, PDw axial and T1w sagittal, the head turned in between."""
    lines = ["subject\tsplit"]
    for (subject, (split, head)), name in zip(PEOPLE.items(), ixi_archive.NAMES, strict=False):
        truth = ixi_archive.subject(name, head, voxel_mm=3.0)
        place = folder / "own" / subject / "anat"
        place.mkdir(parents=True)
        for modality in ("PDw", "T1w"):
            nib.save(truth.images[modality], place / f"{subject}_{modality}.nii.gz")
        lines.append(f"{subject}\t{split}")
    (folder / "own" / "split.tsv").write_text("\n".join(lines) + "\n")


def overlay(folder: Path, **data: object) -> tuple[str, ...]:
    settings = {**SETTINGS, "data": {**SETTINGS["data"], **data}}
    (folder / "raw.yaml").write_text(yaml.safe_dump(settings))
    return (*SMOKE, "raw.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("raw") / "a project")
    bids(folder)
    run(folder, *overlay(folder))
    return folder


def test_raw_scans_become_a_table(finished: Path) -> None:
    results = finished / "results" / "raw"
    for subject in PEOPLE:
        quality = results / "quality" / subject
        assert (quality / f"{subject}_quality.png").stat().st_size > 20_000
        assert (quality / f"{subject}_from-T1w_to-PDw_xfm.tfm").is_file()
        judged = json.loads((quality / f"{subject}_quality.json").read_text())
        assert [scan["flags"] for scan in judged["scans"]] == [[], []]
        shapes = {
            nib.load(results / "volumes" / subject / f"{subject}_{part}.nii.gz").shape
            for part in ("PDw", "T1w", "desc-brain_mask")
        }
        assert shapes == {(64, 64, 4)}
    assert "sub-b" in (results / "metrics.csv").read_text()
    assert not list(results.glob("aligned/*/*.nii")), "the full-size volumes are temporary"
    assert "2 subjects, 0 flagged" in (results / "quality" / "quality.html").read_text()
    assert orphans(finished) == []


def test_a_flagged_subject_stops_the_study_until_it_is_said_what_to_do(finished: Path) -> None:
    """Spoiled for real: the field of view of sub-b's target ends in the middle of the brain."""
    path = finished / "own" / "sub-b" / "anat" / "sub-b_T1w.nii.gz"
    whole = nib.as_closest_canonical(nib.load(path))
    half = whole.slicer[:, :, whole.shape[2] // 2 :]
    nib.save(nib.Nifti1Image(np.asarray(half.dataobj), half.affine), path)
    printed = run(finished, *overlay(finished), ok=False)
    assert "ERROR sub-b: flagged in preprocessing (T1w: " in printed
    assert "data.exclude" in printed
    assert "Traceback" not in printed
    kept = planned(finished, *overlay(finished, flagged="keep"))
    assert {job.rule for job in kept} >= {"preprocess_sub_b"} or any(
        "sub-b" in " ".join(job.outputs) for job in kept
    )
    without = run(finished, "-n", *overlay(finished, exclude=["sub-b"]), ok=False)
    assert "no subject to the test split" in without


def test_what_raw_means_is_checked(finished: Path) -> None:
    cohorts = {**SETTINGS["data"]["cohorts"], "made": {"kind": "simulated", "aligned": False}}
    cohorts["made"]["subjects"] = {"train": 1, "val": 0, "test": 0}
    printed = run(finished, "-n", *overlay(finished, cohorts=cohorts), ok=False)
    assert "data.cohorts.made.kind 'simulated' makes aligned images itself" in printed
    (finished / "own" / "sub-b" / "anat" / "sub-b_PDw.nii.gz").rename(finished / "kept.nii.gz")
    printed = run(finished, "-n", *overlay(finished), ok=False)
    (finished / "kept.nii.gz").rename(finished / "own" / "sub-b" / "anat" / "sub-b_PDw.nii.gz")
    assert "sub-b has no PDw row; add the image, or list the subject under data.exclude" in printed
    assert np.isfinite(nib.load(finished / "own/sub-b/anat/sub-b_PDw.nii.gz").get_fdata()).all()
