"""Raw scans through the real command line: IXI's archives from a server, and a BIDS folder."""

import csv
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

pytestmark = pytest.mark.variant

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


def test_the_papers_own_setting_in_miniature(
    truths: list[ixi_archive.Truth], tmp_path: Path
) -> None:
    # Of config/ixi_paper.yaml all but sizes and steps: what it trains on, minimises and compares.
    people = {**PEOPLE, "IXI014-HH-1236": "train", "IXI015-HH-1258": "val"}
    more = [
        ixi_archive.subject(name, head, voxel_mm=4.0)
        for head, name in enumerate(list(people)[2:], start=14)
    ]
    small = {
        "study": "paper_small",
        "data": {"grid": {"image_size": 32, "pixel_size": 6.0, "slices": 2}},
        "model_defaults": {
            "unet": {"channels": [16, 32], "attention": [False, True], "groups": 8},
            "cyclegan": {"channels": 4, "levels": 0, "blocks": 1, "critic_channels": 4},
            "stylegan": {"channels": [8, 8, 8], "latent": 8, "mapping_layers": 1},
            "training": {"steps": 6, "checkpoint_every": 6, "log_every": 2},
        },
        "models": {name: {"training": {"steps": 4}} for name in ("cyclegan", "stylegan")},
        "sampling": {"steps": 4},
        "methods": {"stylegan": {"steps": 2, "candidates": 4, "tune": {"loss": ["edges"]}}},
    }
    small["model_defaults"]["unet"]["head_channels"] = 16
    small["model_defaults"]["cyclegan"]["critic_layers"] = 1
    with ixi_project(tmp_path, [*truths, *more], people) as project:
        (project.folder / "small.yaml").write_text(yaml.safe_dump(small))
        mine = yaml.safe_load((project.folder / "mine.yaml").read_text())
        del mine["methods"]
        (project.folder / "mine.yaml").write_text(yaml.safe_dump(mine))
        files = ("config/ixi_paper.yaml", "mine.yaml", "small.yaml")
        run(project.folder, "table", "--configfile", *files)
        results = project.folder / "results" / "paper_small"
        with open(results / "table1.csv") as stream:
            rows = {row["method"]: row for row in csv.DictReader(stream)}
        paper = {"cyclegan", "stylegan", "sdedit_02", "sdedit_05", "lmidiffusion"}
        assert paper <= set(rows)
        assert all(row["status"] == "measured" for row in rows.values())
        trained = json.loads((results / "models/lmidiffusion/config.json").read_text())
        assert trained["objective"] == {
            **{"loss": "sum", "times": "antithetic", "dropout": 0.1},
            **{"blurred": 0.5, "blur": 2.0},
        }
        assert trained["guidance"]["estimator"] == "reference"
        kmeans = json.loads((results / "models/kmeans/kmeans.json").read_text())
        assert (kmeans["field"], kmeans["images"]) == ("head", "head")
        for name in people:
            person = f"sub-{name.split('-')[0]}"
            shown, brain = (
                nib.load(results / "volumes" / person / f"{person}_{part}.nii.gz").get_fdata() > 0
                for part in ("T1w", "desc-brain_mask")
            )
            assert (brain <= shown).all()
            assert shown.sum() > 1.3 * brain.sum(), "the head is around the brain"
            assert not shown.all(), "and air around the head"
        turned = [
            *("study=turned", "data={target: PDw, sources: [T1w]}"),
            *("models={cyclegan: {source: T1w}}", "methods={cyclegan: {model: {T1w: cyclegan}}}"),
        ]
        jobs = planned(project.folder, "table", "--configfile", *files, "--config", *turned)
        (trains,) = (
            job for job in jobs if "results/turned/models/lmidiffusion/" in str(job.outputs)
        )
        assert any("_PDw.nii.gz" in path for path in trains.inputs)
        assert not any("_T1w.nii.gz" in path for path in trains.inputs)


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
