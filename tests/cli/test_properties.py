"""Whatever is given, it ends well or in one line: see :mod:`fuzz` for what is drawn and judged."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fuzz
from clusters import long_test

#: How many cases of each kind; what costs much is drawn less.
FEW = {"images": 150, "sheets": 150, "splits": 150, "bids": 100, "configs": 100, "checkpoints": 60}
MANY = {
    "images": 4000,
    "sheets": 1500,
    "splits": 1500,
    "bids": 1000,
    "configs": 1000,
    "checkpoints": 1000,
}
COMMANDS = 200


def check(kind: str, seeds: range, folder: Path) -> None:
    """Run cases; some must end each way, or the draw shows nothing."""
    counts = fuzz.run_cases(kind, seeds, folder)
    assert sum(counts.values()) == len(seeds)
    assert min(counts.values()) >= 0.05 * len(seeds), counts


@pytest.mark.parametrize("kind", FEW)
def test_a_few_hundred(kind, tmp_path):
    check(kind, range(FEW[kind]), tmp_path)


@long_test
def test_ten_thousand_in_one_process(tmp_path):
    assert sum(MANY.values()) == 10_000
    for kind, count in MANY.items():
        check(kind, range(1000, 1000 + count), tmp_path)


@long_test
def test_the_installed_command(tmp_path):
    command = Path(sys.executable).with_name("lmidiff")
    findings = []
    for seed in range(COMMANDS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        drawn = fuzz.draw_command(np.random.default_rng([seed, *b"command"]), folder)
        ended = subprocess.run([command, *drawn.arguments], capture_output=True, text=True)
        try:
            fuzz.judge(drawn, ended.returncode, ended.stderr)
        except AssertionError as error:
            findings.append(f"{seed}: {error}"[:600])
    assert not findings, "\n".join(findings)


def test_the_judge_sees_what_it_is_for(tmp_path):
    """A traceback, two lines, half a result or a result elsewhere is found."""
    folder = tmp_path / "a"
    folder.mkdir()
    rng = np.random.default_rng(3)
    while True:
        drawn = fuzz.draw_command(rng, folder)
        status, said = fuzz.captured(drawn.arguments)
        if status == 0:
            break
    fuzz.judge(drawn, 0, said)
    line = f"ERROR {drawn.source}: x\n"
    for status, wrong in ((1, line), (1, said), (1, line * 2), (0, "Traceback (most recent")):
        with pytest.raises(AssertionError):
            fuzz.judge(drawn, status, wrong)
    image = fuzz.nib.load(drawn.out)
    moved = image.affine.copy()
    moved[:3, 3] += 0.5 * np.abs(moved[:3, :3]).max()
    fuzz.nib.save(fuzz.nib.Nifti1Image(np.asarray(image.dataobj), moved), drawn.out)
    with pytest.raises(AssertionError):
        fuzz.judge(drawn, 0, said)
