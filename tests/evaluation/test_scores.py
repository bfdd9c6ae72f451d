import math

import numpy as np
import pandas as pd
import pytest

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.metrics import Score
from lmidiff.evaluation.scores import (
    METRIC_COLUMNS,
    SLICE_COLUMNS,
    collect,
    frames_of,
    read_scores,
    write_scores,
)

SCORES = [
    Score("all", "brain", "psnr", math.inf),
    Score("all", "csf", "dice_kmeans", math.nan),
    Score(10, "brain", "ssim", math.nan),
    Score(2, "image", "ssim", -1e-9),
]


def frames(subject="007", method="none", source="PDw", seed=1):
    keys = {"study": "demo", "target": "T1w", "subject": subject, "seed": seed}
    return frames_of(SCORES, method=method, source=source, **keys)


def test_volume_and_slices_have_exactly_their_columns():
    whole, slices = frames()
    assert list(whole.columns) == METRIC_COLUMNS
    assert list(slices.columns) == SLICE_COLUMNS
    assert len(whole) == len(slices) == 2
    assert slices["slice"].dtype.kind == "i"


@pytest.mark.parametrize("level", [0, 1])
def test_round_trip_keeps_names_and_undefined_numbers(tmp_path, level):
    frame = collect([frames()[level]])
    write_scores(frame, tmp_path / "a.csv")
    back = read_scores(tmp_path / "a.csv")
    assert back["subject"].unique().tolist() == ["007"]
    assert back["method"].unique().tolist() == ["none"]
    np.testing.assert_allclose(back["value"], frame["value"], atol=1e-6)
    write_scores(collect([back]), tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert "-0.0" not in (tmp_path / "a.csv").read_text()


def test_order_of_arrival_does_not_matter(tmp_path):
    parts = [frames(s, m)[1] for s in ("b", "a") for m in ("y", "x")]
    for name, order in (("a.csv", parts), ("b.csv", parts[::-1])):
        write_scores(collect(order), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    slices = collect(parts)["slice"].tolist()
    assert slices[:2] == [2, 10], "sorted as numbers, not text"


def test_the_same_row_twice():
    with pytest.raises(StudyError, match=r"twice.*subject=007"):
        collect([frames()[0], frames()[0]])


def test_a_method_that_skipped_a_subject():
    with pytest.raises(StudyError, match=r"y \(seed 1\) from PDw lacks subject b"):
        collect([frames("a", "x")[0], frames("b", "x")[0], frames("a", "y")[0]])
    collect([frames("a", "x", "PDw")[0], frames("b", "x", "T2w")[0]])
    again = [frames("a", "x", seed=2)[0], frames("b", "x")[0], frames("a", "x")[0]]
    with pytest.raises(StudyError, match=r"x \(seed 2\) from PDw lacks subject b"):
        collect(again)


def test_files_from_before_there_were_seeds_are_of_the_first(tmp_path):
    for level in frames():
        write_scores(collect([level]), tmp_path / "new.csv")
        old = pd.read_csv(tmp_path / "new.csv", dtype=str, keep_default_na=False)
        old.drop(columns="seed").to_csv(tmp_path / "old.csv", index=False)
        new = read_scores(tmp_path / "new.csv")
        pd.testing.assert_frame_equal(read_scores(tmp_path / "old.csv"), new)


def test_no_number_where_one_is_due():
    whole, _ = frames()
    with pytest.raises(StudyError, match=r"no number.*metric=ssim"):
        collect([whole.assign(metric="ssim")])


def test_wrong_or_no_frames():
    whole, slices = frames()
    for wrong in ([], [whole.iloc[:0]], [whole, slices], [whole.drop(columns="target")]):
        with pytest.raises(StudyError, match="scores"):
            collect(wrong)


def test_files_that_are_no_scores(tmp_path):
    path = tmp_path / "bad.csv"
    for text in ("", "a,b\n1,2\n", ",".join(METRIC_COLUMNS) + "\nd,m,s,t,1,1,r,ssim,x\n"):
        path.write_text(text)
        with pytest.raises(StudyError, match=r"bad\.csv"):
            read_scores(path)
    with pytest.raises(StudyError, match="none"):
        read_scores(tmp_path / "none.csv")


def test_values_stay_floats():
    assert pd.api.types.is_float_dtype(collect([frames()[0]])["value"])
