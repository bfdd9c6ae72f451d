"""Weights, numbers, thin scans and machines that cannot serve, each in one line."""

import gzip
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch

from lmidiff.__main__ import main
from lmidiff.cli.scans import Order, each_scan
from lmidiff.common.errors import StudyError
from lmidiff.methods import METHODS, methods_for
from small_scans import SHAPE, brain, done, refused, save, translated
from workflows import ROOT


def test_weights_say_which_methods_they_serve(scan, weights, capsys):
    for name in ("supervised", "sdedit", "lmidiffusion", "nonsense"):
        given = ["--weights", weights, "--source", scan, "--out", scan.with_name("o.nii.gz")]
        said = refused(capsys, "translate", *given, "--method", name)
        assert "serves histogram, inverted_histogram" in said
    for condition, fits in (("none", "sdedit"), ("both", "lmidiffusion"), ("frequency", "fgdm")):
        found = methods_for({"family": "diffusion", "guidance": {"condition": condition}})
        assert fits in found
        assert ("lmidiffusion" in found) == (condition != "none")
    families = {"cyclegan", "regression", "supervised", "stylegan"}
    assert all(set(methods_for({"family": name})) < set(METHODS) for name in families)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--spacing", value) for value in ("nan", "inf", "-1", "0", "x", "1e9")),
        *(("--steps", value) for value in ("0", "-3", "nan", "1.5", "99999")),
        *(("--draws", value) for value in ("0", "inf")),
        *(("--seed", value) for value in ("-1", "nan", "1e3")),
        *(("--volume", value) for value in ("-1", "nan")),
    ],
)
def test_numbers_beyond_sense_are_one_line(option, value, scan, weights, capsys):
    given = ["--weights", weights, "--source", scan, "--out", scan.with_name("o.nii.gz")]
    with pytest.raises(SystemExit) as ended:
        main([str(part) for part in ("translate", *given, f"{option}={value}")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ERROR argument {option}: ")
    assert said.count("\n") == 1


def test_pictures_of_a_single_slice(tmp_path, weights, capsys):
    slice_ = brain()[:, :, 18:19]
    scan = save(tmp_path / "a.nii.gz", slice_)
    mask = save(tmp_path / "m.nii.gz", (slice_ > 0).astype(np.uint8))
    translated(capsys, scan, weights, "--mask", mask, "--qc")
    assert list(tmp_path.glob("out*.png"))
    given = ["--scans", f"PDw={scan}", "--mask", mask, "--keep", "--out", tmp_path / "new"]
    done(capsys, "preprocess", *given)
    assert (tmp_path / "new" / "quality.png").exists()


@pytest.mark.parametrize("slices", [1, 3])
def test_too_few_slices_to_register(slices, tmp_path, capsys):
    whole = save(tmp_path / "a.nii.gz", brain())
    thin = save(tmp_path / "b.nii.gz", brain()[:, :, 18 : 18 + slices])
    for scans in ((whole, thin), (thin, whole)):
        given = ["--scans", f"PDw={scans[0]}", f"T1w={scans[1]}", "--out", tmp_path / "out"]
        assert "too thin to register" in refused(capsys, "preprocess", *given)


def test_a_name_of_two_lines_is_one_line(tmp_path, weights, capsys):
    given = ["--weights", weights, "--source", tmp_path / "a\nb.nii", "--out", tmp_path / "o.nii"]
    assert "a\\nb.nii: no such file" in refused(capsys, "translate", *given)


def test_too_little_memory_is_one_line(scan, mask, kmeans, tmp_path, capsys, monkeypatch):
    path = tmp_path / "huge.nii.gz"
    raw = bytearray(gzip.decompress(scan.read_bytes()))
    header = np.frombuffer(bytes(raw[:348]), dtype=nib.nifti1.header_dtype).copy()
    header["dim"][0, 1:4] = 30_000
    raw[:348] = header.tobytes()
    path.write_bytes(gzip.compress(bytes(raw), 1))
    given = ["segment", "--model", kmeans, "--out", tmp_path / "o.nii", "--source"]
    assert f"{path}: shape (30000, 30000, 30000) does not fit" in refused(capsys, *given, path)

    for allocate in (np.empty, torch.empty):
        monkeypatch.setattr("lmidiff.cli.segment.normalised", lambda *_, a=allocate: a(2**58))
        assert "the memory is not enough" in refused(capsys, *given, scan, "--mask", mask)
    assert not (tmp_path / "o.nii").exists()


def test_a_scan_that_needs_too_much_memory_stops_no_other(tmp_path, caplog):
    scans = [str(save(tmp_path / f"{name}.nii", brain())) for name in "ab"]
    orders = [Order(scan, tmp_path / "o.nii") for scan in scans]
    done = []

    def work(order: Order) -> None:
        if order.scan == scans[0]:
            torch.empty(2**58)
        done.append(order.scan)

    with pytest.raises(StudyError, match="1 of 2 scans"):
        each_scan(orders, work)
    assert done == scans[1:]
    assert "the memory is not enough" in caplog.text

    def broken(_: Order) -> None:
        raise RuntimeError("a fault of the program")

    with pytest.raises(RuntimeError, match="a fault of the program"):
        each_scan(orders, broken)


LIMITED = """
import resource, sys
from pathlib import Path
from lmidiff.__main__ import main
from lmidiff.cli.scans import Order, each_scan
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_loses_nothing(kmeans, tmp_path):
    """Files are held to 4 KB, as a disk that fills up while a result is written would."""
    noise = np.random.default_rng(1).random(SHAPE) * (brain() > 0)
    ready = save(tmp_path / "data" / "t1.nii.gz", noise.astype(np.float32))
    out = tmp_path / "o.nii"
    out.write_bytes(b"an earlier result")
    given = ["segment", "--model", kmeans, "--source", ready, "--translated", "--out", out]
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, given)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"ERROR {out}: cannot be written (File too large)"
    assert "Traceback" not in ended.stderr
    assert out.read_bytes() == b"an earlier result"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "o.nii"]
