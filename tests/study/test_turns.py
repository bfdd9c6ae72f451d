"""People who are tested in turn: folds of a cross-validation, and cross-fitted models."""

from pathlib import Path

import pytest

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check_config
from lmidiff.data.slices import subject_of
from lmidiff.study.study import Study
from studies import message_of, sheet_of


def test_every_fold_has_its_own_people_models_settings_and_segmenter(folded: dict) -> None:
    study = Study(folded)
    plain = Study(folded | {"folds": 1})
    assert study.folds == [1, 2]
    assert study.subjects("test") == study.subjects() == [f"sub-0{n}" for n in range(1, 7)]
    assert study.rolls[0] == study.roll == plain.roll, "the first fold is the split without folds"
    assert study.subjects("test", fold=2) == ["sub-01", "sub-02", "sub-03"]
    assert study.subjects("val", fold=2) == ["sub-06"]
    assert set(study.runs) == {f"{row}{fold}" for row in plain.runs for fold in ("", "_fold-2")}
    assert study.shown_runs == study.runs
    assert study.trainings("histogram") == ["histogram", "histogram_fold-2"]
    run, first = "sdedit_fold-2", Study(folded).method_block("sdedit", "PDw")
    assert study.method_block(run, "PDw") == first, "settings and seeds are those of every fold"
    assert study.weights_of(run, "PDw") == [study.paths.model("unconditional_fold-2")]
    assert study.weights_of("sdedit", "PDw") == plain.weights_of("sdedit", "PDw")
    assert study.model_of("cyclegan_fold-2", "PDw") == "cyclegan_PDw_fold-2"
    assert study.model_of("source_fold-2", "PDw") is None
    assert study.tuning_file(run) == [study.paths.tuning(run)]
    assert study.segmenter("source").endswith("/models/kmeans/kmeans.json")
    assert study.segmenter(run).endswith("/models/kmeans_fold-2/kmeans.json")
    assert list(study.labels) == list(study.methods) == list(plain.methods)
    files = study.training_files("lmidiffusion_fold-2")["target"]
    assert [subject_of(path) for path in files] == ["sub-04", "sub-05"]
    assert study.training_files("lmidiffusion") == plain.training_files("lmidiffusion")


def test_a_person_is_shown_as_translated_by_the_run_that_tested_them(folded: dict) -> None:
    study = Study(folded)
    files = study.files_of_row("sdedit", "PDw")
    assert list(files) == study.subjects("test")
    for subject, paths in files.items():
        run = "sdedit" if subject in study.subjects("test", fold=1) else "sdedit_fold-2"
        assert paths == study.scored_files(run, "PDw")[subject]
        assert f"/translations/{run}/from-PDw/shard-" in paths["image"]
        assert f"/segmentations/{run}/" in paths["labels"]
    runs = {run: study.tested(run) for run in ("sdedit", "sdedit_fold-2")}
    for run, people in runs.items():
        held = [study.shard_subjects(run, shard) for shard in study.shards(run)]
        assert [subject for shard in held for subject in shard] == people
        for shard, subjects in enumerate(held):
            inputs = study.translation_inputs(run, "PDw", shard)
            assert [subject_of(path) for path in inputs] == subjects


def test_test_people_teach_by_turns_where_only_they_have_the_source(crossed: dict) -> None:
    study = Study(crossed)
    people, train = study.subjects("test"), study.subjects("train")
    assert study.trainings("supervised_PDw") == ["supervised_PDw", "supervised_PDw_fold-2"]
    assert study.trainings("lmidiffusion") == ["lmidiffusion", "lmidiffusion_seed-2"]
    runs = [run for run in study.runs if run.startswith("supervised")]
    assert runs == ["supervised", "supervised_fold-2"], "one training a part, whatever the seeds"
    assert [study.tested(run) for run in runs] == [people[::2], people[1::2]]
    for run, taught in zip(runs, (people[1::2], people[::2]), strict=True):
        assert study.weights_of(run, "PDw") == [
            study.paths.model(run.replace("vised", "vised_PDw"))
        ]
        pairs = study.training_files(study.model_of(run, "PDw"))["pairs"]
        assert [subject_of(path) for path in pairs[::2]] == taught
        assert study.segmenter(run) == study.segmenter("source")
    files = study.training_files("cyclegan_PDw_fold-3")
    assert [subject_of(path) for path in files["target"]] == train
    assert [subject_of(path) for path in files["source"]] == people[:2]
    assert list(study.files_of_row("cyclegan", "T2w")) == people
    assert study.seen("supervised") == "pairs of target and the source, of others who are tested"
    assert study.seen("cyclegan") == "target + the source, unpaired, of others who are tested"
    assert not study.zero_shot("cyclegan")
    assert study.tested("lmidiffusion_seed-2") == people


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


def test_folds_that_are_refused(folded: dict, tmp_path: Path) -> None:
    assert "folds: 2 and seeds: 3: a network is trained" in message_of({**folded, "seeds": 3})
    people = folded["data"]["cohorts"]["simulated"]["subjects"]
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
