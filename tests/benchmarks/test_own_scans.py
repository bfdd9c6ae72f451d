"""The benchmark of own scans: rows, lesions and means over people."""

import ast
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from lmidiff.benchmarks import own_scans
from lmidiff.benchmarks.own_scans import LABELS, ROWS, TISSUES, measure, summary
from lmidiff.evaluation.lesions import CSF, GM, WM
from lmidiff.records.provenance import modules_behind
from meshnets import publish
from workflows import ROOT

SHAPE = (24, 24, 12)
RULES = ROOT / "workflow/rules/bench.smk"
SCRIPT = ROOT / "workflow/scripts/try_own_scan.py"


@pytest.fixture
def person(tmp_path):
    """Three nested shells of T1w-like values, their FLAIR-like source, a lesion in the middle."""
    x = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    radius = np.sqrt((x**2).sum(0))
    tissue = np.select([radius < 0.5, radius < 0.75, radius < 0.95], [3, 2, 1], 0)
    lesion = (np.abs(x) < 0.2).all(0)
    target = np.array([0.0, 0.2, 0.5, 0.9])[tissue]
    target[lesion] = 0.65
    source = np.array([0.0, 0.1, 0.6, 0.5])[tissue]
    source[lesion] = 0.9
    files = {"source": source, "target": target, "lesions": lesion.astype(float)}
    for name, data in files.items():
        image = nib.Nifti1Image(data.astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
        nib.save(image, tmp_path / f"{name}.nii.gz")
    publish(tmp_path / "network")
    return tmp_path, source, target, lesion


def test_labels_of_the_network_become_tissues():
    assert TISSUES[LABELS["white"]] == WM
    assert TISSUES[LABELS["grey"]] == GM
    assert TISSUES[0] == CSF


def test_every_row_is_measured_and_a_perfect_translation_keeps_its_lesion(person, monkeypatch):
    folder, source, target, lesion = person
    brain = source > 0

    def perfect(path, mask):
        assert (path, mask) == (folder / "source.nii.gz", None)
        return target.astype(np.float32), np.where(brain, 0.1, 0).astype(np.float32), 1.0

    # What the segmenter says is not asked here: the truth's own three levels.
    class Levels:
        def __init__(self, path):
            assert path == folder / "network"

        def segment(self, volume):
            return np.digitize(volume.data, [0.35, 0.8]).astype(np.uint8).choose([0, 2, 1])

    monkeypatch.setattr(own_scans, "_translate", perfect)
    monkeypatch.setattr(own_scans, "MeshNet", Levels)
    files = (folder / f"{name}.nii.gz" for name in ("source", "target"))
    table, images, _ = measure(folder / "network", *files, folder / "lesions.nii.gz")
    rows = table.set_index("row")
    assert list(rows.index) == list(ROWS)
    assert rows["lesions"].eq(lesion.any(axis=(0, 1)).sum()).all(), "a patch a slice"
    np.testing.assert_allclose(images["lmidiff"], np.where(brain, target, 0), atol=1e-6)
    ours = rows.loc["lmidiff"]
    # The brightest of it is 0.9, to which the truth is scaled.
    assert list(ours[["detail", "steps"]]) == pytest.approx([0.9**2, 0.9], abs=1e-4)
    assert ours["vanished"] == 0
    assert ours["into_csf"] == 0
    assert ours["labelled_gm"] == 1, "it looks like grey matter in the truth"
    assert ours["contrast"] == pytest.approx(ours["true_contrast"], abs=0.06)
    # The source shows it brighter than white matter, so nothing of the contrast is left there.
    assert rows.loc["source", "vanished"] == 1
    assert rows.loc["source", "contrast"] > 0


def test_means_over_people_have_their_interval():
    people = pd.DataFrame(
        {"scan": [a for a in "abcd" for _ in ROWS], "row": list(ROWS) * 4, "label": "x"}
    )
    people["same"], people["other"] = 0.25, np.repeat([0.1, 0.2, 0.3, 0.4], len(ROWS))
    table = summary(people, ["same", "other"])
    assert list(table["row"]) == list(ROWS)
    assert table["people"].eq(4).all()
    assert table["same"].eq("0.250 [0.250, 0.250]").all()
    mean, low, high = table["other"][0].replace("[", "").replace("]", "").replace(",", "").split()
    assert float(mean) == 0.25
    assert 0.1 < float(low) < 0.25 < float(high) < 0.4


def test_the_commands_that_are_called_by_name_are_inputs_of_the_rule():
    called = set(re.findall(r'_run\("(\w+)"', Path(own_scans.__file__).read_text()))
    (listed,) = re.findall(r"^OWN_COMMANDS = (.*)$", RULES.read_text(), re.MULTILINE)
    assert set(ast.literal_eval(listed)) == {f"lmidiff.cli.{name}" for name in called}
    behind = modules_behind(SCRIPT, *ast.literal_eval(listed))
    assert {"detail.py", "retrace.py", "registration.py"} <= {Path(each).name for each in behind}
