"""Studies of real people: one in miniature, from raw FLAIR to verdicts; the others planned."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from lmidiff.data.tsv import read_tsv
from workflows import ROOT, Job, copy_project, orphans, planned, run

pytestmark = pytest.mark.study

SHARED = ROOT.parent / "shared" / "data"
PEOPLE = {"sub-IXI012": "train", "sub-IXI013": "train", "sub-IXI057": "val", "sub-Subj11": "test"}
ROWS = ["source", "inverted_histogram", "lmidiffusion", "cr_regression_consistent", "oracle"]
FIGURES = ["figure2", "scores", "lesions"]
SMALL = {
    "study": "small",
    "seeds": 1,
    "rows": ROWS,
    "data": {
        "grid": {"image_size": 48, "pixel_size": 4.0, "slices": 4},
        "cohorts": {"people": {"sheet": "small.tsv"}},
    },
    "model_defaults": {
        "unet": {
            **{"channels": [8, 16], "attention": [False, True]},
            **{"groups": 4, "head_channels": 8},
        },
        "training": {"steps": 20, "warmup": 3, "checkpoint_every": 4, "log_every": 4},
    },
    "methods": {"cr_regression_consistent": {"tune": {"prior": [0.4]}}},
    "segmentation": {"network": None},  # it needs pixels of 3 mm at most
    "sampling": {"steps": 2},
}


def halve(path: Path, output: Path) -> None:
    """Every second voxel, 4 mm, to save time."""
    image = nib.load(path)
    output.parent.mkdir(parents=True, exist_ok=True)
    affine = image.affine @ np.diag([2, 2, 2, 1])
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[::2, ::2, ::2], affine), output)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real images are not at {SHARED}")
    folder = copy_project(tmp_path_factory.mktemp("real") / "small study")
    header, *lines = (ROOT / "config" / "real_fast.tsv").read_text().splitlines()
    chosen = [line for line in lines if f"sub-{line.split()[0]}" in PEOPLE]
    for file in {cell for line in chosen for cell in line.split("\t") if cell.endswith(".nii.gz")}:
        halve(SHARED / file, folder / file)
    (folder / "small.tsv").write_text("\n".join([header, *chosen]) + "\n")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    files = ("split.tsv", "report.md", *(f"figures/{name}.png" for name in FIGURES))
    targets = ("table", "quality", *(f"results/small/{file}" for file in files))
    run(folder, *targets, "--configfile", "config/real_fast.yaml", "small.yaml")
    return folder


def table_of(path: Path) -> list[dict[str, str]]:
    with open(path) as stream:
        return list(csv.DictReader(stream))


@pytest.mark.variant
def test_four_real_people_from_raw_flair_to_a_table(finished: Path) -> None:
    results = finished / "results" / "small"
    split = dict(line.split("\t") for line in (results / "split.tsv").read_text().split("\n")[1:-1])
    assert split == PEOPLE
    judged = json.loads((results / "quality/sub-Subj11/sub-Subj11_quality.json").read_text())
    assert {scan["modality"]: scan["flags"] for scan in judged["scans"]} == {"FLAIR": [], "T1w": []}
    volumes = results / "volumes" / "sub-Subj11"
    found = {
        part: nib.load(volumes / f"sub-Subj11_{part}.nii.gz").get_fdata()
        for part in ("FLAIR", "T1w", "dseg", "desc-brain_mask", "desc-lesion_mask")
    }
    assert {image.shape for image in found.values()} == {(48, 48, 4)}
    t1w, tissues = found["T1w"], found["dseg"]
    csf, grey, white = (np.median(t1w[tissues == tissue]) for tissue in (1, 2, 3))
    assert csf < grey < white, "the labels, which lie on the T1w, came along onto the FLAIR's grid"
    assert not list((results / "volumes" / "sub-IXI012").glob("*FLAIR*"))
    rows = table_of(results / "table1.csv")
    assert {row["method"] for row in rows} == set(ROWS)
    assert {row["status"] for row in rows} == {"measured"}
    ssim = {row["method"]: float(row["mean"]) for row in rows if row["quantity"] == "ssim_brain"}
    ceiling = ssim.pop("oracle")
    assert ceiling == pytest.approx(1, abs=0.01)
    assert -1 <= min(ssim.values()) < max(ssim.values()) < ceiling
    assert all(row["n"] == "1" for row in rows if row["quantity"] == "dice_truth_mean")
    assert orphans(finished) == []


@pytest.mark.variant
def test_its_verdicts_and_figures(finished: Path) -> None:
    results = finished / "results" / "small"
    verdicts = {row["verdict"] for row in table_of(results / "verdicts.csv")}
    assert verdicts == {"undecided", "not run"}, "one person decides nothing"
    assert "one subject tells nothing about others" in (results / "report.md").read_text()
    for name in FIGURES:
        assert (results / "figures" / f"{name}.png").stat().st_size > 5_000, name


HALF = {
    **SMALL,
    "study": "half",
    "rows": ["source", "cr_regression_consistent", "oracle"],
    "data": {
        "sources": ["T2w", "FLAIR"],
        "grid": SMALL["data"]["grid"],
        "test_every": 2,
        "cohorts": {
            "people": {"sheet": "small.tsv"},
            "people_nobody_trained_on": {"sheet": "half.tsv"},
        },
    },
}


@pytest.mark.variant
def test_a_real_target_with_simulated_sources_by_the_same_networks(finished: Path) -> None:
    header, line, *_ = (ROOT / "config" / "simulated_sources.tsv").read_text().splitlines()
    for file in {cell for cell in line.split("\t") if cell.endswith(".nii.gz")}:
        halve(SHARED / file, finished / file)
    (finished / "half.tsv").write_text(f"{header}\n{line}\n")
    (finished / "half.yaml").write_text(yaml.safe_dump(HALF))
    states = {path: path.stat().st_mtime_ns for path in finished.glob("results/.state/*/*.pt")}
    assert states
    targets = ("table", "results/half/report.md", "results/half/figures/figure2.png")
    run(finished, *targets, "--configfile", "config/simulated_sources.yaml", "half.yaml")
    after = {path: path.stat().st_mtime_ns for path in finished.glob("results/.state/*/*.pt")}
    assert after == states, "nothing was trained again"
    results, person = finished / "results" / "half", f"sub-{line.split()[0]}"
    parts = ("T1w", "T2w", "FLAIR", "dseg", "desc-brain_mask")
    images = [nib.load(results / f"volumes/{person}/{person}_{part}.nii.gz") for part in parts]
    assert {image.shape for image in images} == {(48, 48, 2)}
    assert all(np.allclose(image.affine, images[0].affine) for image in images)
    t1w, t2w, _, _, brain = (image.get_fdata() for image in images)
    assert np.corrcoef(t1w[brain > 0], t2w[brain > 0])[0, 1] < -0.2
    assert not list((results / "raw").rglob("*.nii.gz")), "simulated scans are temporary"
    rows = table_of(results / "table1.csv")
    assert {(row["source"], row["status"]) for row in rows} == {
        ("T2w", "measured"),
        ("FLAIR", "measured"),
    }
    assert "Simulated source, real target" in (results / "table1.md").read_text()
    assert "Simulated source, real target" in (results / "report.md").read_text()


# -- planned --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without images: what is planned would be fetched."""
    return copy_project(tmp_path_factory.mktemp("planned") / "project")


def jobs_of_study(project: Path, name: str) -> list[Job]:
    return planned(project, "--configfile", f"config/{name}.yaml")


def of_rule(jobs: list[Job], start: str) -> list[Job]:
    return [job for job in jobs if job.rule.startswith(start)]


def test_a_real_target_with_simulated_sources_is_planned(project: Path) -> None:
    jobs = jobs_of_study(project, "simulated_sources")
    simulated = of_rule(jobs, "simulate_sources_")
    assert len(simulated) == 30
    for job in simulated:
        assert {Path(path).name.split("_", 1)[1] for path in job.data} == {"dseg.nii"}
        made = {Path(path).name.split("_", 1)[1] for path in job.outputs}
        assert made == {"PDw.nii.gz", "T2w.nii.gz", "FLAIR.nii.gz"}
    tested = {Path(job.outputs[0]).name.split("_")[0] for job in simulated}
    trained = {
        Path(path).name.split("_")[0] for job in of_rule(jobs, "train_model") for path in job.data
    }
    assert len(trained) == 90
    assert not tested & trained
    rows = read_tsv(ROOT / "config" / "simulated_sources.tsv", "sheet", "sheet", str)
    assert {f"sub-{row['subject']}" for _, row in rows} == tested


@pytest.mark.parametrize("case", ["sri24", "avg152", "patient"])
def test_a_case_is_planned(project: Path, case: str) -> None:
    jobs = jobs_of_study(project, f"case_{case}")
    (table,) = of_rule(jobs, "write_table")
    assert len(of_rule(jobs, "train_model")) == 6
    read = {path for job in of_rule(jobs, "score") for path in job.data if "/volumes/" in path}
    assert len({Path(path).name.split("_")[0] for path in read}) == 1, "a case stands alone"
    assert table.outputs[0] == f"results/case_{case}/table1.csv"


def test_the_label_maps_at_the_papers_size_are_planned(project: Path) -> None:
    jobs = jobs_of_study(project, "anatomies_128")
    translated = {job.outputs[0].split("/")[3] for job in of_rule(jobs, "translate")}
    assert {"sdedit", "lmidiffusion", "image_cr", "cr_regression"} <= translated
    assert len(of_rule(jobs, "train_model")) == 5, "four networks and a histogram"
