"""The benchmark of own scans: rows, lesions and means over people."""

import ast
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lmidiff.benchmarks import own_scans
from lmidiff.benchmarks.own_scans import LABELS, ROWS, TISSUES, crops, measure, summary
from lmidiff.data.volumes import Volume
from lmidiff.evaluation.lesions import CSF, GM, WM
from lmidiff.figures import own_scans as figure_own_scans
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

    painted_over = np.where(lesion, 0.9, target).astype(np.float32)
    monkeypatch.setattr(own_scans, "_translate", perfect)
    monkeypatch.setattr(own_scans, "_as_translated", lambda *_: painted_over)
    monkeypatch.setattr(own_scans, "MeshNet", Levels)
    files = (folder / f"{name}.nii.gz" for name in ("source", "target"))
    table, images, _ = measure(folder / "network", *files, folder / "lesions.nii.gz")
    rows = table.set_index("row")
    assert list(rows.index) == list(ROWS)
    assert rows["lesions"].eq(lesion.any(axis=(0, 1)).sum()).all(), "a patch a slice"
    np.testing.assert_allclose(images["lmidiff"], np.where(brain, target, 0), atol=1e-6)
    np.testing.assert_array_equal(images["lesions"] > 0, lesion)
    shown = crops(images)
    assert shown["lesions"].sum() == lesion.sum(axis=(0, 1)).max(), "the slice with most of them"
    ours = rows.loc["lmidiff"]
    # The brightest of it is 0.9, to which the truth is scaled.
    assert list(ours[["detail", "steps"]]) == pytest.approx([0.9**2, 0.9], abs=1e-4)
    assert ours["vanished"] == 0
    assert ours["into_csf"] == 0
    assert ours["labelled_gm"] == 1, "it looks like grey matter in the truth"
    assert ours["contrast"] == pytest.approx(ours["true_contrast"], abs=0.06)
    assert rows.loc["as_translated", "vanished"] == 1
    # The source shows it brighter than white matter, so nothing of the contrast is left there.
    assert rows.loc["source", "vanished"] == 1
    assert rows.loc["source", "contrast"] > 0


@pytest.mark.parametrize("masked", [False, True])
def test_a_0_of_the_translation_inside_the_brain_counts(person, monkeypatch, masked):
    folder, source, target, _ = person
    brain = (source > 0) & (target > 0)
    if masked:
        mask = nib.Nifti1Image(brain.astype(np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
        nib.save(mask, folder / "mask.nii.gz")
    found = np.where(brain, target, 0).astype(np.float32)
    found[brain & (target > 0.6)] = 0
    answer = (found, np.where(brain, 0.1, 0), 1.0)
    monkeypatch.setattr(own_scans, "_translate", lambda *_: answer)
    files = (folder / f"{name}.nii.gz" for name in ("source", "target"))
    given = {"mask": folder / "mask.nii.gz"} if masked else {}
    rows, _, _ = measure(folder / "network", *files, **given)
    wrong = np.where(brain, found - target / 0.9, 0)[brain]  # the brightest of it becomes 1
    wanted = -10 * np.log10(np.mean(wrong**2))
    assert rows.set_index("row").loc["lmidiff", "psnr_brain_db"] == pytest.approx(wanted, abs=0.1)


def test_the_brain_of_a_head_is_what_the_command_finds(monkeypatch):
    found = np.zeros(SHAPE, bool)
    found[5:9] = True
    monkeypatch.setattr(own_scans, "find_brain", lambda _: found)
    head = Volume(np.ones(SHAPE, np.float32), np.eye(4), "head")
    np.testing.assert_array_equal(own_scans._brain(head, None), found)
    stripped = Volume(np.where(found, 0, 1).astype(np.float32), np.eye(4), "stripped")
    np.testing.assert_array_equal(own_scans._brain(stripped, None), ~found)


def test_the_closeup_is_of_the_lesions_and_has_them_outlined(tmp_path, monkeypatch):
    shape = (80, 96)
    lesions = np.zeros(shape, np.float32)
    lesions[60:64, 20:24] = 1  # at the right, in the back
    lesions[10:12, 80:82] = 1
    slices = {"source": np.full(shape, 0.5), "target": np.full(shape, 0.7), "lesions": lesions}
    boxes = []
    shown = figure_own_scans.show_slice
    monkeypatch.setattr(
        figure_own_scans,
        "show_slice",
        lambda a, s, b, **k: boxes.append(b) or shown(a, s, b, **k),
    )
    titles = {"source": "scan", "target": "true T1w"}
    paths = (tmp_path / "a.png", tmp_path / "a.pdf")
    figure_own_scans.figure_own_scan(slices, titles, 1.0, *paths)
    x, y, side, _ = boxes[1]
    assert side == figure_own_scans.CLOSEUP_MM
    assert x == 80 - side, "as far right as the slice goes"
    assert y <= 20 <= 24 <= y + side
    marked = np.asarray(Image.open(paths[0]).convert("RGB")).astype(int)
    orange = np.abs(marked - [0xE6, 0x9F, 0x00]).sum(axis=2) < 60
    columns = np.flatnonzero(orange.any(axis=0))
    assert len(columns) > 0
    assert columns.max() < marked.shape[1] / 2, "in the first column alone"


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
