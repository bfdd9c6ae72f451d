"""People who are tested in turn: folds of a cross-validation, and cross-fitted models."""

from pathlib import Path

import pytest

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check_config
from lmidiff.data.slices import subject_of
from lmidiff.study.models import merge
from lmidiff.study.study import Study
from studies import message_of, sheet_of


def test_every_fold_has_its_own_people_models_settings_and_segmenter(folded: dict) -> None:
    study = Study(folded)
    plain = Study(folded | {"folds": 1})
    assert study.people.folds == [1, 2]
    assert (
        study.people.subjects("test")
        == study.people.subjects()
        == [f"sub-0{n}" for n in range(1, 7)]
    )
    assert study.people.rolls[0] == study.people.roll == plain.people.roll, (
        "the first fold is the split without folds"
    )
    assert study.people.subjects("test", fold=2) == ["sub-01", "sub-02", "sub-03"]
    assert study.people.subjects("val", fold=2) == ["sub-06"]
    assert set(study.rows.runs) == {
        f"{row}{fold}" for row in plain.rows.runs for fold in ("", "_fold-2")
    }
    assert study.rows.shown_runs == study.rows.runs
    assert study.models.trainings("histogram") == ["histogram", "histogram_fold-2"]
    run, first = "sdedit_fold-2", Study(folded).rows.block("sdedit", "PDw")
    assert study.rows.block(run, "PDw") == first, "settings and seeds are those of every fold"
    assert study.rows.weights_of(run, "PDw") == [study.paths.model("unconditional_fold-2")]
    assert study.rows.weights_of("sdedit", "PDw") == plain.rows.weights_of("sdedit", "PDw")
    assert study.rows.model_of("cyclegan_fold-2", "PDw") == "cyclegan_PDw_fold-2"
    assert study.rows.model_of("source_fold-2", "PDw") is None
    assert study.rows.tuning_file(run) == [study.paths.tuning(run)]
    assert study.rows.segmenter("source").endswith("/models/kmeans/kmeans.json")
    assert study.rows.segmenter(run).endswith("/models/kmeans_fold-2/kmeans.json")
    assert list(study.rows.labels) == list(study.rows.methods) == list(plain.rows.methods)
    files = study.models.files("lmidiffusion_fold-2")["target"]
    assert [subject_of(path) for path in files] == ["sub-04", "sub-05"]
    assert study.models.files("lmidiffusion") == plain.models.files("lmidiffusion")


def test_a_person_is_shown_as_translated_by_the_run_that_tested_them(folded: dict) -> None:
    study = Study(folded)
    files = study.files_of_row("sdedit", "PDw")
    assert list(files) == study.people.subjects("test")
    for subject, paths in files.items():
        run = "sdedit" if subject in study.people.subjects("test", fold=1) else "sdedit_fold-2"
        assert paths == study.scored_files(run, "PDw")[subject]
        assert f"/translations/{run}/from-PDw/shard-" in paths["image"]
        assert f"/segmentations/{run}/" in paths["labels"]
    runs = {run: study.rows.tested(run) for run in ("sdedit", "sdedit_fold-2")}
    for run, people in runs.items():
        held = [study.shard_subjects(run, shard) for shard in study.shards(run)]
        assert [subject for shard in held for subject in shard] == people
        for shard, subjects in enumerate(held):
            inputs = study.translation_inputs(run, "PDw", shard)
            assert [subject_of(path) for path in inputs] == subjects


def test_test_people_teach_by_turns_where_only_they_have_the_source(crossed: dict) -> None:
    study = Study(crossed)
    people, train = study.people.subjects("test"), study.people.subjects("train")
    assert study.models.trainings("supervised_PDw") == ["supervised_PDw", "supervised_PDw_fold-2"]
    assert study.models.trainings("lmidiffusion") == ["lmidiffusion", "lmidiffusion_seed-2"]
    runs = [run for run in study.rows.runs if run.startswith("supervised")]
    assert runs == ["supervised", "supervised_fold-2"], "one training a part, whatever the seeds"
    assert [study.rows.tested(run) for run in runs] == [people[::2], people[1::2]]
    for run, taught in zip(runs, (people[1::2], people[::2]), strict=True):
        assert study.rows.weights_of(run, "PDw") == [
            study.paths.model(run.replace("vised", "vised_PDw"))
        ]
        pairs = study.models.files(study.rows.model_of(run, "PDw"))["pairs"]
        assert [subject_of(path) for path in pairs[::2]] == taught
        assert study.rows.segmenter(run) == study.rows.segmenter("source")
    files = study.models.files("cyclegan_PDw_fold-3")
    assert [subject_of(path) for path in files["target"]] == train
    assert [subject_of(path) for path in files["source"]] == people[:2]
    assert list(study.files_of_row("cyclegan", "T2w")) == people
    assert (
        study.rows.seen("supervised") == "pairs of target and the source, of others who are tested"
    )
    assert study.rows.seen("cyclegan") == "target + the source, unpaired, of others who are tested"
    assert not study.rows.zero_shot("cyclegan")
    assert study.rows.tested("lmidiffusion_seed-2") == people


def test_only_what_sees_a_source_is_cross_fitted(crossed: dict, folded: dict) -> None:
    crossed["models"]["supervised_PDw"]["cross_fit"] = 4
    assert "cross_fit 4 is more than the 3 people who are tested" in message_of(crossed)
    crossed["models"]["supervised_PDw"]["cross_fit"] = 3
    assert "methods.supervised takes models that are cross-fitted in dif" in message_of(crossed)
    folded["models"]["supervised_PDw"]["cross_fit"] = 2
    assert "everybody who is tested has trained in another fold" in message_of(folded)
    del folded["folds"]
    folded["models"]["lmidiffusion"]["cross_fit"] = 2
    with pytest.raises(StudyError, match="cross_fit is not a known key"):
        check_config(folded)


def test_a_cross_fitted_row_costs_by_the_slices_of_those_whom_its_first_run_translates(
    crossed: dict,
) -> None:
    rows, slices = Study(crossed).rows, crossed["data"]["grid"]["slices"]
    for row in rows.methods:
        assert rows.slices(row) == slices * len(rows.tested(row))
    assert rows.slices("supervised") < rows.slices("source")


def test_folds_that_are_refused(folded: dict, tmp_path: Path) -> None:
    assert "folds: 2 and seeds: 3: a network is trained" in message_of({**folded, "seeds": 3})
    people = folded["data"]["cohorts"]["simulated"]["subjects"]
    thinned = merge(folded, {"data": {"test_every": 2}})
    assert "data.test_every: with folds, everybody who is tested has trained" in message_of(thinned)
    assert "so their number must be a multiple of 4" in message_of({**folded, "folds": 4})
    rows = [f"{n} {m} test" for n in (1, 2) for m in ("T1w", "PDw", "T2w")]
    folded["data"]["cohorts"]["mine"] = sheet_of(tmp_path, *rows)
    text = message_of(folded)
    assert "data.cohorts.mine of kind sheet says itself who is tested; set folds to 1" in text
    del folded["data"]["cohorts"]["mine"]
    people |= {"train": 3, "val": 0}
    assert "methods.sdedit.tune chooses on validation subjects" in message_of(folded)
    people |= {"train": 1, "val": 2}
    assert "gives only one to the train split" in message_of(folded)
    # Who is left out of the second fold's test people leaves nobody to test in it.
    people |= {"train": 2, "val": 1}
    folded["data"]["exclude"] = ["sub-01", "sub-02", "sub-03"]
    assert "gives no subject to the train split of fold 1" in message_of(folded)
