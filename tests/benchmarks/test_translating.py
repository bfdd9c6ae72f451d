"""What a command costs, and the table of what translating costs by the size of a scan."""

import sys

import pytest

from lmidiff.benchmarks import translating
from lmidiff.benchmarks.measure import run_measured
from lmidiff.common.errors import StudyError
from small_scans import brain, save

PYTHON = (sys.executable, "-c")


def test_a_process_is_measured_by_itself():
    """What it burns, not what it waits; the most it held; what it said to both streams."""
    waits = "import time; time.sleep(0.7)"
    burns = "import time\nwhile time.process_time() < 0.7: pass"
    holds = "import sys; kept = bytearray(300_000_000); print('out'); print('err', file=sys.stderr)"
    waited, burned = (run_measured([*PYTHON, code])[0] for code in (waits, burns))
    assert waited["seconds"] >= 0.7 > 0.5 > waited["cpu_seconds"]
    assert 0.7 <= burned["cpu_seconds"] < 1.5
    held, said = run_measured([*PYTHON, holds])
    # 300e6 bytes are 286 MB of 1024 x 1024; this process, which holds torch, is not counted.
    assert 280 < held["memory_mb"] - waited["memory_mb"] < 300
    assert waited["memory_mb"] < 50
    assert set(said.split()) == {"out", "err"}


def test_a_process_gets_its_variables_and_its_folder(tmp_path):
    code = "import os; print(os.environ['TOLD'], os.getcwd())"
    _, said = run_measured([*PYTHON, code], {"TOLD": "narrow"}, tmp_path)
    assert said.split() == ["narrow", str(tmp_path)]


def test_a_failure_is_told_by_its_last_line():
    with pytest.raises(StudyError, match=r"benchmark of -c .*: the last of it$"):
        run_measured([*PYTHON, "import sys; print('first'); sys.exit('the last of it')"])


def test_every_size_is_translated(tmp_path, monkeypatch):
    scan = save(tmp_path / "scan.nii.gz", brain())
    monkeypatch.setattr(translating.torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    table = translating.benchmark({"voxels_mm": [8.0, 4.0], "rounds": 1}, scan)
    assert list(table) == list(translating.COLUMNS)
    assert list(table["voxel_mm"]) == [8.0, 4.0]
    assert set(table["processor"]) == {translating.THIS}
    coarse, fine = ([int(n) for n in size.split(" x ")] for size in table["size"])
    # Twice as many voxels a side, but for what an edge takes.
    assert all(abs(small - 2 * large) <= 2 for large, small in zip(coarse, fine, strict=True))
    assert 6 < table["brain_voxels"][1] / table["brain_voxels"][0] < 10
    measured = table[["seconds", "cpu_seconds", "memory_mb", "cpu_seconds_per_million"]]
    assert (measured > 0).all(axis=None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.nii.gz"]


def test_processors_are_told_apart_and_medians_taken_of_time(monkeypatch, tmp_path):
    """The most is taken of memory. Two processors in turns: what the second is told is AVX2's."""
    monkeypatch.setattr(translating.torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    costs = [(1.0, 4.0, 50.0), (9.0, 8.0, 70.0), (2.0, 6.0, 60.0)]
    costs = iter([each for each in costs for _ in range(2)])
    image = translating.nib.load(save(tmp_path / "scan.nii.gz", brain()))
    told = []

    def translated(_, environment):
        told.append(environment.get("ATEN_CPU_CAPABILITY"))
        return dict(zip(("seconds", "cpu_seconds", "memory_mb"), next(costs), strict=True)), image

    monkeypatch.setattr(translating, "_translated", translated)
    table = translating.benchmark({"voxels_mm": [4.0], "rounds": 3}, tmp_path / "scan.nii.gz")
    assert told == [None, "avx2"] * 3
    assert list(table["processor"]) == [translating.THIS, "AVX2"]
    assert table["rounds"].eq(3).all()
    voxels = int((brain() > 0).sum())
    for _, row in table.iterrows():
        assert list(row[["seconds", "cpu_seconds", "memory_mb"]]) == [2.0, 6.0, 70.0]
        assert row["brain_voxels"] == voxels
        assert row["cpu_seconds_per_million"] == pytest.approx(6.0 / voxels * 1e6)
