"""Raw scans through the real command line: IXI's archives from a server, and a BIDS folder."""

import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

import ixi_archive
from ixi_project import IxiProject, ixi_project
from lmidiff.data.registration import distances, surface_points
from workflows import orphans, planned, run

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
    # Two rows that train nothing; every method has its own tests.
    "rows": ["source", "inverted_histogram"],
}
PEOPLE = {"IXI002-Guys-0828": "train", "IXI012-HH-1211": "test"}
SUBJECTS = ("sub-IXI002", "sub-IXI012", "sub-b")


def bids(folder: Path, truth: ixi_archive.Truth) -> None:
    """One person as somebody else would store the scans."""
    place = folder / "own" / "sub-b" / "anat"
    place.mkdir(parents=True)
    for modality, image in truth.images.items():
        nib.save(image, place / f"sub-b_{modality}.nii.gz")
    (folder / "own" / "split.tsv").write_text("subject\tsplit\nsub-b\ttest\n")


def overlay(project: IxiProject, **data: object) -> tuple[str, ...]:
    settings = {**SETTINGS, "data": {**SETTINGS["data"], **data}}
    (project.folder / "raw.yaml").write_text(yaml.safe_dump(settings))
    return (*project.arguments, "raw.yaml")


@pytest.fixture(scope="module")
def truths() -> list[ixi_archive.Truth]:
    """Of heads that the mask network has not been trained on."""
    return [
        ixi_archive.subject(name, head, voxel_mm=4.0) for head, name in enumerate(PEOPLE, start=12)
    ]


@pytest.fixture(scope="module")
def finished(
    truths: list[ixi_archive.Truth], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IxiProject]:
    with ixi_project(tmp_path_factory.mktemp("raw"), truths, PEOPLE) as project:
        bids(project.folder, truths[1])
        run(project.folder, "table", "quality", *overlay(project))
        yield project


def test_raw_scans_become_a_table(finished: IxiProject, truths: list[ixi_archive.Truth]) -> None:
    results = finished.folder / "results" / "raw"
    for subject, truth in zip(SUBJECTS, (*truths, truths[1]), strict=True):
        quality = results / "quality" / subject
        assert (quality / f"{subject}_quality.png").stat().st_size > 20_000
        assert (quality / f"{subject}_from-T1w_to-PDw_xfm.tfm").is_file()
        judged = json.loads((quality / f"{subject}_quality.json").read_text())
        assert [scan["flags"] for scan in judged["scans"]] == [[], []]
        (found,) = (scan["matrix"] for scan in judged["scans"] if scan["modality"] == "T1w")
        mask = nib.as_closest_canonical(truth.masks["PDw"])
        points = surface_points(np.asarray(mask.dataobj) > 0, mask.affine)
        assert np.percentile(distances(points, np.array(found), truth.motion), 95) < 1.0
        shapes = {
            nib.load(results / "volumes" / subject / f"{subject}_{part}.nii.gz").shape
            for part in ("PDw", "T1w", "desc-brain_mask")
        }
        assert shapes == {(64, 64, 4)}
    scores = (results / "metrics.csv").read_text()
    assert "sub-IXI012" in scores
    assert "sub-b" in scores
    assert not list(results.glob("aligned/*/*.nii")), "the full-size volumes are temporary"
    scans = finished.folder / "resources" / "ixi" / "scans"
    assert not list(scans.glob("*.nii.gz")), "so are the scans out of the archives"
    assert "3 subjects, 0 flagged" in (results / "quality" / "quality.html").read_text()
    assert orphans(finished.folder) == []


def test_a_pair_of_two_people_stops_the_study_until_it_is_said_what_to_do(
    finished: IxiProject, truths: list[ixi_archive.Truth]
) -> None:
    anat = finished.folder / "own" / "sub-b" / "anat"
    nib.save(truths[0].images["T1w"], anat / "sub-b_T1w.nii.gz")
    printed = run(finished.folder, "table", *overlay(finished), ok=False)
    assert "ERROR sub-b: flagged in preprocessing (T1w: " in printed
    assert "data.exclude" in printed
    assert "Traceback" not in printed
    kept = planned(finished.folder, *overlay(finished, flagged="keep"))
    made = [path for job in kept if job.rule == "preprocess" for path in job.outputs]
    assert any("/sub-b/" in path for path in made)
    # It is the only one of its cohort: without it there is nobody left.
    left = run(finished.folder, "-n", *overlay(finished, exclude=["sub-b"]), ok=False)
    assert "own: no subject has" in left


def test_what_raw_means_is_checked(finished: IxiProject) -> None:
    cohorts = {**SETTINGS["data"]["cohorts"], "made": {"kind": "simulated", "aligned": False}}
    cohorts["made"]["subjects"] = {"train": 1, "val": 0, "test": 0}
    printed = run(finished.folder, "-n", *overlay(finished, cohorts=cohorts), ok=False)
    assert "data.cohorts.made.kind 'simulated' makes aligned images itself" in printed
    (finished.folder / "own" / "sub-b" / "anat" / "sub-b_PDw.nii.gz").unlink()
    printed = run(finished.folder, "-n", *overlay(finished), ok=False)
    assert "sub-b has no PDw row; add the image, or list the subject under data.exclude" in printed
