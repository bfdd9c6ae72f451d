"""A picture in the terminal: its greys are those of the slices."""

import lzma
import re

import numpy as np
import pytest

from lmidiff.__main__ import main
from lmidiff.common.errors import StudyError
from lmidiff.evaluation.pictures import write_pictures
from lmidiff.report.terminal import CELL, EXTRACT, plot

PAIR = re.compile(r"\x1b\[38;2;(\d+);\d+;\d+;48;2;(\d+);\d+;\d+m▀")


@pytest.fixture
def study(tmp_path):
    ramp = np.tile(np.linspace(0, 1, 2 * CELL)[:, None], (1, 3 * CELL))
    images = {"source": ramp, "target": ramp[::-1], "a": ramp**2, "b": ramp * 0}
    path = tmp_path / EXTRACT
    path.parent.mkdir()
    write_pictures(path, {f"0/images/{key}": image for key, image in images.items()}, [])
    return tmp_path


def test_greys_left_and_right_up_and_down(study):
    head, *lines = plot(study, {"a": "A", "b": "B"}, 200).splitlines()
    assert head.split() == ["source", "truth", "A", "B"]
    pixels = np.array([[[int(v) for v in pair] for pair in PAIR.findall(line)] for line in lines])
    assert pixels.shape == (round(1.5 * CELL / 2), 4 * CELL, 2)
    source, truth, _, black = np.split(pixels, 4, axis=1)
    assert (np.diff(source[0, :, 0]) > 0).all()
    assert np.array_equal(source, truth[:, ::-1])
    assert not black.any()
    assert all(line.endswith("\x1b[0m") for line in lines)


def test_as_many_as_fit_and_a_packed_record_too(study):
    assert len(plot(study, {"a": "A"}, 2 * CELL + 1).splitlines()[0].split()) == 2
    whole = plot(study, {"a": "A"}, 99)
    path = study / EXTRACT
    (study / f"{EXTRACT}.xz").write_bytes(lzma.compress(path.read_bytes()))
    path.unlink()
    assert plot(study, {"a": "A"}, 99) == whole
    (study / f"{EXTRACT}.xz").unlink()
    with pytest.raises(StudyError, match="run the study first"):
        plot(study, {}, 99)


def test_where_there_is_no_terminal_it_says_where_the_picture_is(capsys):
    assert main(["show", "results/reference/default", "--plot"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("No picture here")
    assert "results/reference/default/figures/figure2.png" in printed
    assert "\x1b" not in printed
