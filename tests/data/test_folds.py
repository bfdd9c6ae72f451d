"""Cross-validation: everybody is tested once, and the manifest says who was what in which fold."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmidiff.common.errors import StudyError
from lmidiff.data.cohorts import recorded_members, subjects_of
from lmidiff.data.downloads import Downloads
from lmidiff.data.splits import read_folds, read_split, rotated, write_folds, write_split

COUNTS = {"train": 10, "val": 2, "test": 4}


def tables_of(*folds: dict[str, str]) -> list[pd.DataFrame]:
    return [pd.DataFrame({"subject": list(f), "split": list(f.values())}) for f in folds]


@given(folds=st.integers(1, 6), test=st.integers(1, 5), val=st.integers(0, 4))
def test_everybody_is_tested_once_and_as_many_validate_in_every_fold(folds, test, val):
    train = folds * test - test - val
    if train < 0:
        return
    given_splits = ["train"] * train + ["val"] * val + ["test"] * test
    splits = rotated(given_splits, folds)
    assert [each[0] for each in splits] == given_splits
    assert all(each.count("test") == 1 for each in splits)
    for fold in zip(*splits, strict=True):
        assert sorted(fold) == sorted(given_splits)
        # The test people of a fold are neighbours: people of one family in a list stay together.
        tested = [place for place, split in enumerate(fold) if split == "test"]
        assert tested == list(range(tested[0], tested[0] + test))


def test_sixteen_people_in_four_folds_as_one_would_write_them():
    fourth = rotated(["train"] * 10 + ["val"] * 2 + ["test"] * 4, 4)
    folds = ["".join(split[:2] for split in fold) for fold in zip(*fourth, strict=True)]
    tr, va, te = "tr", "va", "te"
    assert folds == [
        tr * 10 + va * 2 + te * 4,
        tr * 6 + va * 2 + te * 4 + tr * 4,
        tr * 2 + va * 2 + te * 4 + tr * 8,
        te * 4 + tr * 10 + va * 2,
    ]


@pytest.mark.parametrize(("splits", "folds"), [(["train", "test"], 3), (["train", "train"], 2)])
def test_people_who_do_not_divide(splits, folds):
    with pytest.raises(ValueError, match=rf"{folds} folds of \d test people are not 2 people"):
        rotated(splits, folds)


def people_of(cohorts: dict, folds: int, exclude: tuple[str, ...] = ()) -> list:
    return subjects_of(cohorts, ["T1w"], Downloads([], [Path()]), exclude, folds)


def test_a_cohort_of_which_nobody_is_tested_keeps_its_splits():
    cohorts = {
        "aside": {"kind": "simulated", "subjects": {"train": 2, "val": 1, "test": 0}},
        "mine": {"kind": "simulated", "subjects": {"train": 1, "val": 1, "test": 2}},
    }
    aside = people_of({"aside": cohorts["aside"]}, 2)
    assert [[p.split_in(f) for p in aside] for f in (1, 2)] == [["train", "train", "val"]] * 2
    mine = people_of({"mine": cohorts["mine"]}, 2)
    assert [p.split_in(1) for p in mine] == ["train", "val", "test", "test"]
    assert [p.split_in(2) for p in mine] == ["test", "test", "train", "val"]


def test_who_is_left_out_moves_nobody_to_another_fold():
    cohorts = {"mine": {"kind": "simulated", "subjects": COUNTS}}
    everybody = {p.id: p for p in people_of(cohorts, 4)}
    some = people_of(cohorts, 4, exclude=("sub-03", "sub-16"))
    assert len(some) == 14
    assert all(person == everybody[person.id] for person in some)


@pytest.mark.parametrize(
    ("counts", "folds", "says"),
    [
        (COUNTS, 3, "each of the 16 people of data.cohorts.mine once, so their number must be a"),
        (COUNTS, 2, "so subjects.test must be 8 of them, not 4"),
    ],
)
def test_counts_that_folds_do_not_divide(counts, folds, says):
    with pytest.raises(StudyError, match=f"config: folds: {folds} tests") as caught:
        people_of({"mine": {"kind": "simulated", "subjects": counts}}, folds)
    assert says in str(caught.value)


# -- the manifest ---------------------------------------------------------------------------------


def test_the_manifest_has_everybody_once_a_fold_in_the_order_of_the_study(tmp_path):
    folds = [
        {"sub-b": "train", "sub-a": "test", "sub-c": "train"},
        {"sub-b": "test", "sub-a": "val", "sub-c": "train"},
    ]
    path = tmp_path / "split.tsv"
    write_folds(tables_of(*folds), path)
    lines = path.read_text().splitlines()
    assert lines[0] == "subject\tsplit\tfold"
    assert lines[1:5] == ["sub-b\ttrain\t1", "sub-a\ttest\t1", "sub-c\ttrain\t1", "sub-b\ttest\t2"]
    assert read_folds(path) == folds
    assert [list(fold) for fold in read_folds(path)] == [list(fold) for fold in folds]
    members = recorded_members(tmp_path, exclude=["sub-c"])
    assert [(m.id, m.split_in(1), m.split_in(2)) for m in members] == [
        ("sub-b", "train", "test"),
        ("sub-a", "test", "val"),
    ]
    # As a cohort's own split it is refused: which of the folds would it be?
    with pytest.raises(StudyError, match="subject is in splits train and test"):
        read_split(path)


def test_one_fold_is_the_manifest_of_a_split(tmp_path):
    (table,) = tables_of({"sub-b": "train", "sub-a": "train", "sub-c": "test"})
    write_split(table, tmp_path / "split.tsv")
    write_folds([table], tmp_path / "folds.tsv")
    assert (tmp_path / "folds.tsv").read_bytes() == (tmp_path / "split.tsv").read_bytes()
    assert read_folds(tmp_path / "folds.tsv") == [
        {"sub-a": "train", "sub-b": "train", "sub-c": "test"}
    ]


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({"sub-a": "test", "sub-b": "train"}, "sub-a is tested in folds 1 and 2; test it in one"),
        ({"sub-a": "train"}, "sub-b is not in both fold 1 and fold 2"),
        ({"sub-a": "tset", "sub-b": "train"}, "split 'tset' is unknown"),
    ],
)
def test_folds_that_are_none(tmp_path, second, says):
    with pytest.raises(StudyError) as caught:
        write_folds(tables_of({"sub-a": "test", "sub-b": "train"}, second), tmp_path / "split.tsv")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "split.tsv").exists()


def test_a_subject_in_two_splits_of_one_fold(tmp_path):
    path = tmp_path / "split.tsv"
    path.write_text("subject\tsplit\tfold\nsub-a\ttest\t1\nsub-a\ttrain\t1\n")
    with pytest.raises(StudyError, match=r"line 3 \(sub-a\): subject is in splits test and train"):
        read_folds(path)
    path.write_text("subject\tsplit\tfold\nsub-a\ttest\t2\n")
    with pytest.raises(StudyError, match="folds are 2; count them from 1"):
        read_folds(path)
