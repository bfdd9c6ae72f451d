"""A study's files and rules: who is in which split, and that training is handed no source."""

import ast
import copy
import shutil
from pathlib import Path

import pytest
import yaml

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check_config
from lmidiff.data.ledger import read_ledger
from lmidiff.data.slices import subject_of
from lmidiff.records.provenance import PLUMBING, modules_behind
from lmidiff.study.models import merge
from lmidiff.study.study import LABELS, MASK, Study
from workflows import ROOT, SMOKE, Job, copy_project, planned

SCRIPTS = ROOT / "workflow" / "scripts"
# Six people in two folds, to be laid over the smoke study.
FOLDED = {
    "study": "folded",
    "folds": 2,
    "data": {"cohorts": {"simulated": {"subjects": {"train": 2, "val": 1, "test": 3}}}},
}
# Three test people, of whom the others teach what needs their sources; all else from two seeds.
CROSSED = {
    "study": "crossed",
    "seeds": 2,
    "data": FOLDED["data"],
    "models": {
        **{f"cyclegan_{source}": {"cross_fit": 3} for source in ("PDw", "T2w")},
        **{f"supervised_{source}": {"cross_fit": 2} for source in ("PDw", "T2w")},
    },
}


@pytest.fixture
def config() -> dict:
    default, smoke = (
        yaml.safe_load((ROOT / "config" / name).read_text())
        for name in ("config.yaml", "smoke.yaml")
    )
    return merge(default, smoke)


def message_of(config: dict) -> str:
    check_config(config)
    with pytest.raises(StudyError) as caught:
        Study(config)
    text = str(caught.value)
    assert "\n" not in text
    return text


def sheet_of(folder: Path, *rows: str) -> dict:
    """A cohort from a sheet whose images exist, as far as reading the sheet goes."""
    lines = ["subject\tmodality\tpath\tsplit"]
    for number, row in enumerate(rows):
        subject, modality, split = row.split()
        (folder / f"{number}.nii.gz").write_bytes(b"x")
        lines.append(f"{subject}\t{modality}\t{number}.nii.gz\t{split}")
    path = folder / "sheet.tsv"
    path.write_text("\n".join(lines) + "\n")
    return {"kind": "sheet", "sheet": str(path)}


# -- splits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(3, 1, 2), (2, 0, 1), (28, 4, 8)])
def test_splits_share_nobody_and_leave_out_nobody(config: dict, counts: tuple) -> None:
    config["data"]["cohorts"]["simulated"]["subjects"] = dict(
        zip(("train", "val", "test"), counts, strict=True)
    )
    if not counts[1]:
        for block in config["methods"].values():
            block.pop("tune", None)
    study = Study(config)
    splits = [set(study.subjects(split)) for split in ("train", "val", "test")]
    assert [len(split) for split in splits] == list(counts)
    assert set.union(*splits) == set(study.subjects())
    assert len(study.subjects()) == sum(counts)


def test_shards_hold_every_test_subject_once(config: dict) -> None:
    config["data"]["cohorts"]["simulated"]["subjects"] = {"train": 2, "val": 1, "test": 7}
    config["translation"]["subjects_per_shard"] = 3
    study = Study(config)
    held = [study.shard_subjects("source", shard) for shard in study.shards("source")]
    assert [len(shard) for shard in held] == [3, 3, 1]
    assert [subject for shard in held for subject in shard] == study.subjects("test")
    images = {s: paths["image"] for s, paths in study.translations("source", "PDw").items()}
    for shard, subjects in enumerate(held):
        folder = study.paths.shard("source", "PDw", shard)
        assert {Path(images[subject]).parent for subject in subjects} == {Path(folder)}


def test_a_subject_in_two_splits_of_a_sheet(config: dict, tmp_path: Path) -> None:
    rows = ("1 T1w train", "1 PDw test", "1 T2w test")
    config["data"]["cohorts"]["mine"] = sheet_of(tmp_path, *rows)
    assert "(sub-1): split is 'test' here and 'train' before" in message_of(config)


def test_an_id_in_two_cohorts(config: dict, tmp_path: Path) -> None:
    rows = ("01 T1w test", "01 PDw test", "01 T2w test")
    config["data"]["cohorts"]["mine"] = sheet_of(tmp_path, *rows)
    config["data"]["cohorts"]["again"] = config["data"]["cohorts"]["mine"]
    assert "sub-01 is in cohort mine (test) and in cohort again (test)" in message_of(config)


def test_simulated_people_are_named_apart_from_real_ones(config: dict, tmp_path: Path) -> None:
    plain = Study(config).subjects(cohort="simulated")
    rows = ("01 T1w test", "01 PDw test", "01 T2w test")
    config["data"]["cohorts"]["mine"] = sheet_of(tmp_path, *rows)
    study = Study(config)
    assert study.subjects(cohort="mine") == ["sub-01"]
    apart = study.subjects(cohort="simulated")
    assert apart == [name.replace("sub-", "sub-simulated") for name in plain]


def test_a_subject_without_a_modality(config: dict, tmp_path: Path) -> None:
    config["data"]["cohorts"]["mine"] = sheet_of(tmp_path, "x1 T1w test", "x1 PDw test")
    assert "sub-x1 has no T2w row" in message_of(config)


# -- what does not fit together -------------------------------------------------------------------


def labelled_sheet(folder: Path, *rows: str) -> str:
    """A sheet of ``subject modality split labels``, the last a file's name or "-"."""
    lines = ["subject\tmodality\tpath\tsplit\tlabels"]
    for number, row in enumerate(rows):
        subject, modality, split, labels = row.split()
        for name in (f"{number}.nii.gz", labels):
            (folder / name).write_bytes(b"x")
        lines.append(f"{subject}\t{modality}\t{number}.nii.gz\t{split}\t{labels.strip('-')}")
    path = folder / "labelled.tsv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize("aligned", [True, False])
def test_sources_of_a_real_target_are_simulated(
    config: dict, tmp_path: Path, aligned: bool
) -> None:
    sheet = labelled_sheet(tmp_path, "r1 T1w test r1_labels.nii.gz")
    people = {"kind": "labels", "target": "real", "sheet": sheet, "aligned": aligned}
    config["data"]["cohorts"]["people"] = people
    config["data"]["cohorts"]["simulated"]["subjects"]["test"] = 0
    check_config(config)
    study = Study(config)
    assert study.generated_cohorts == ["simulated"]
    assert study.real_target_cohorts == ["people"]
    assert study.subjects("test") == ["sub-r1"]
    scans = study.scans_of(["sub-r1"])["sub-r1"]
    assert {name: scans[name] for name in study.sources} == {
        name: study.paths.raw("sub-r1", name) for name in study.sources
    }
    (kind,) = study.kinds(study.scanned_subjects)
    assert set(kind.volumes) == {*study.modalities, MASK, LABELS}
    if aligned:
        assert not study.raw_kinds
        assert study.labels_file("sub-r1") == str(tmp_path / "r1_labels.nii.gz")
    else:
        (kind,) = study.raw_kinds
        assert (kind.modalities, kind.reference, kind.moving) == (("T1w",), "T1w", [])
        assert study.labels_file("sub-r1") == study.paths.aligned("sub-r1", LABELS)
        assert scans["T1w"] == study.paths.aligned("sub-r1", "T1w")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (("r1 T1w test -",), "sub-r1 has no labels, and data.cohorts.people simulates its sources"),
        (("r1 T1w test l", "r1 PDw test l"), "sub-r1 has a real PDw, and data.cohorts.people"),
        (("r1 PDw test l",), "sub-r1 has no T1w row"),
    ],
)
def test_what_a_real_target_needs(
    config: dict, tmp_path: Path, rows: tuple[str, ...], says: str
) -> None:
    sheet = labelled_sheet(tmp_path, *rows)
    config["data"]["cohorts"]["people"] = {"kind": "labels", "target": "real", "sheet": sheet}
    assert says in message_of(config)


def test_some_of_a_sheets_splits(config: dict, tmp_path: Path) -> None:
    config["rows"] = ["source", "histogram"]
    people = sheet_of(tmp_path, "x1 T1w train", "x2 T1w val", "x3 T1w test")
    config["data"]["cohorts"]["mine"] = {**people, "splits": ["train", "val"]}
    assert Study(config).subjects(cohort="mine") == ["sub-x1", "sub-x2"], "x3 has no source"
    config["data"]["cohorts"]["mine"] = people
    assert "sub-x3 has no PDw row" in message_of(config)


def test_slices_that_are_tested(config: dict) -> None:
    config["data"]["grid"]["slices"] = 12
    assert Study(config).test_slices == 12 * len(Study(config).subjects("test"))
    config["data"]["test_every"] = 3
    study = Study(config)
    assert study.test_slices == 4 * len(study.subjects("test"))
    every = study.every(study.subjects())
    assert {every[s] for s in study.subjects("train") + study.subjects("val")} == {1}
    assert {every[s] for s in study.subjects("test")} == {3}


@pytest.mark.parametrize("name", ["simulated_sources", "case_sri24", "case_avg152", "case_patient"])
def test_models_of_the_real_study_are_trained_once_for_all(name: str) -> None:
    """The same settings and the same files, but for the study's folder, so the same states."""

    def study_of(name: str) -> Study:
        files = (ROOT / "config" / f"{part}.yaml" for part in ("config", name))
        config = merge(*(yaml.safe_load(file.read_text()) for file in files))
        return Study(config, read_ledger(ROOT / "config" / "datasets.tsv"))

    real, other = study_of("real_fast"), study_of(name)
    assert other.subjects("train") == real.subjects("train")
    assert other.subjects("val") == real.subjects("val")
    assert not set(other.subjects("test")) & set(real.subjects())
    assert other.used_models == real.used_models
    assert (other.images, other.seed) == (real.images, real.seed)
    for model in real.used_models:
        assert other.model_settings(model) == real.model_settings(model)
        handed = {
            role: [file.replace(str(other.folder), str(real.folder)) for file in files]
            for role, files in other.training_files(model).items()
        }
        assert handed == real.training_files(model)
    for row in real.methods:
        assert other.method_settings(row) == real.method_settings(row)


def test_the_target_among_the_sources(config: dict) -> None:
    config["data"]["sources"].append("T1w")
    assert "data.sources contains the target T1w" in message_of(config)


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_split(config: dict, split: str) -> None:
    config["data"]["cohorts"]["simulated"]["subjects"][split] = 0
    assert f"no subject to the {split} split" in message_of(config)


def test_tuning_without_validation_subjects(config: dict) -> None:
    config["data"]["cohorts"]["simulated"]["subjects"]["val"] = 0
    assert "methods.sdedit.tune chooses on validation subjects" in message_of(config)


@pytest.mark.parametrize(
    ("method", "block", "says"),
    [
        ("telepathy", {}, "unknown method 'telepathy'; known are"),
        ("oracle", {"model": "lmidiffusion"}, "methods.oracle takes no model, but one is set"),
        ("sdedit", {"model": "gone"}, "methods.sdedit.model 'gone' is not under models"),
        ("sdedit", {}, "methods.sdedit.model None is not under models"),
        ("sdedit", {"model": "histogram"}, "methods.sdedit needs a model of family diffusion"),
        ("source", {"steps": 3}, "steps is not a known key"),
        ("sdedit", {"model": "unconditional", "stepz": 3}, "methods.sdedit.stepz is not a known"),
        ("sdedit", {"model": "unconditional", "strength": 2}, "strength 2 is not in (0, 1]"),
        (
            "sdedit",
            {"model": "unconditional", "tune": {"strength": [0.5, 2]}},
            "strength 2 is not in (0, 1]",
        ),
        (
            "sdedit",
            {"model": "unconditional", "tune": {"strenght": [0.5]}},
            "methods.sdedit.strenght is not a known key",
        ),
    ],
)
def test_methods_that_do_not_fit(config: dict, method: str, block: dict, says: str) -> None:
    config["methods"][method] = block
    assert says in message_of(config)


def test_a_model_of_a_source_that_the_study_has_not(config: dict) -> None:
    config["data"]["sources"] = ["PDw"]
    text = message_of(config)  # cyclegan_unseen, for PDw, wants the model of T2w
    assert "models.cyclegan_T2w.source 'T2w' is not in data.sources" in text
    assert "null" in text
    config["methods"]["cyclegan_unseen"] = None
    study = Study(config)
    assert "cyclegan_PDw" in study.used_models
    assert "cyclegan_T2w" not in study.used_models


def test_unpaired_training_on_one_person(config: dict) -> None:
    config["data"]["cohorts"]["simulated"]["subjects"]["train"] = 1
    assert "models.cyclegan_PDw takes target and source from different" in message_of(config)


def test_a_source_for_a_model_that_sees_none(config: dict) -> None:
    config["models"]["lmidiffusion"]["source"] = "PDw"
    with pytest.raises(StudyError, match=r"models\.lmidiffusion sees the target alone"):
        Study(config)


def test_what_the_rows_of_the_gan_saw(config: dict) -> None:
    study = Study(config)
    assert study.seen("cyclegan") == "target + the source, unpaired"
    assert study.seen("cyclegan_unseen") == "target + another modality, unpaired"
    assert study.zero_shot("cyclegan_unseen")
    assert not study.zero_shot("cyclegan")
    for source in study.sources:
        (other,) = set(study.sources) - {source}
        assert study.model_of("cyclegan", source) == f"cyclegan_{source}"
        assert study.model_of("cyclegan_unseen", source) == f"cyclegan_{other}"


def test_an_unknown_family_is_an_error_even_if_no_method_uses_the_model(config: dict) -> None:
    config["models"]["spare"] = {"family": "gan9"}
    assert "unknown model family 'gan9'; known are" in message_of(config)


def test_a_row_that_is_kept_must_exist(config: dict) -> None:
    config["rows"] = ["source", "telepathy"]
    assert "rows names telepathy, which is not under methods" in message_of(config)
    config["rows"] = ["source", "lmidiffusion", "oracle"]
    study = Study(config)
    assert list(study.methods) == ["source", "lmidiffusion", "oracle"]
    assert study.used_models == ["lmidiffusion"]


def test_a_model_that_sees_a_source_names_one_of_the_study(config: dict) -> None:
    config["models"]["supervised_PDw"]["source"] = "FLAIR"
    assert "models.supervised_PDw.source 'FLAIR' is not in data.sources" in message_of(config)


def test_each_source_has_its_model_where_a_method_has_several(config: dict) -> None:
    study = Study(config)
    assert study.model_of("supervised", "T2w") == "supervised_T2w"
    assert study.models_of("supervised") == ["supervised_PDw", "supervised_T2w"]
    assert study.models_of("self_consistent") == ["lmidiffusion_cr"]
    del config["methods"]["supervised"]["model"]["T2w"]
    assert "methods.supervised.model names no model for source T2w" in message_of(config)


def test_what_a_row_saw_is_told(config: dict) -> None:
    config["methods"]["swapped"] = {
        "method": "supervised",
        "model": {"PDw": "supervised_T2w", "T2w": "supervised_PDw"},
    }
    study = Study(config)
    assert study.seen("self_consistent") == "target"
    assert study.seen("supervised") == "pairs of target and the source"
    assert study.seen("swapped") == "pairs of target and another modality"
    shown = {name for name in study.methods if not study.zero_shot(name)}
    assert shown == {"cyclegan", "supervised", "lookup", "oracle"}
    assert study.seen("lookup") == "the answer"
    assert study.seen("synth_regression") == "target + label maps"


def test_pairs_are_handed_over_in_turn(config: dict) -> None:
    study = Study(config)
    names = [Path(path).name for path in study.training_files("supervised_PDw")["pairs"]]
    assert names[:2] == ["sub-01_PDw.nii.gz", "sub-01_T1w.nii.gz"]
    assert len(names) == 2 * len(study.subjects("train"))


# -- models ---------------------------------------------------------------------------------------


def test_a_models_block_is_laid_on_the_defaults(config: dict) -> None:
    before = copy.deepcopy(config)
    study = Study(config)
    settings = study.model_settings("lmidiffusion_cr")
    defaults = config["model_defaults"]
    assert settings["contrast_randomised"] is True
    own = config["models"]["lmidiffusion_cr"]["guidance"]
    assert own["bandwidths"] == [4.0, 12.0, 32.0]
    assert settings["guidance"] == {**defaults["guidance"], **own}
    assert settings["training"] == {**defaults["training"], "seed": config["seed"]}
    assert settings["unet"]["channels"] == [16, 32]
    assert study.model_settings("unconditional")["guidance"]["condition"] == "none"
    assert study.model_settings("histogram") == {"family": "histogram"}
    assert config == before


def test_a_models_own_seed_wins(config: dict) -> None:
    config["models"]["lmidiffusion"]["training"] = {"seed": 9}
    assert Study(config).model_settings("lmidiffusion")["training"]["seed"] == 9


def test_each_network_is_trained_from_every_seed_and_nothing_else_is(config: dict) -> None:
    config |= {"seed": 5, "seeds": 3}
    study = Study(config)
    assert study.seeds == [5, 6, 7]
    assert study.trainings("lmidiffusion") == [
        *("lmidiffusion", "lmidiffusion_seed-6", "lmidiffusion_seed-7")
    ]
    assert study.trainings("histogram") == ["histogram"]
    assert {"source", "lookup", "oracle", "histogram", "inverted_histogram"} <= set(study.runs)
    assert not any(name.startswith(("source_", "lookup_", "histogram_")) for name in study.runs)
    first, again = study.method_block("sdedit", "PDw"), study.method_block("sdedit_seed-7", "PDw")
    assert first["model"].pop("training") | {"seed": 7} == again["model"].pop("training")
    assert first == again
    assert study.weights_of("sdedit_seed-7", "PDw") == [study.paths.model("unconditional_seed-7")]
    assert study.weights_of("inverted_histogram", "PDw") == [study.paths.model("histogram")]
    assert study.model_of("cyclegan_seed-6", "PDw") == "cyclegan_PDw_seed-6"
    assert study.tuning_file("sdedit_seed-6") == [study.paths.tuning("sdedit_seed-6")]
    assert study.training_files("lmidiffusion_seed-6") == study.training_files("lmidiffusion")
    assert [study.seed_of(name) for name in ("sdedit", "sdedit_seed-6")] == [5, 6]
    assert list(study.labels) == list(study.methods), "the table has a row for all trainings"
    assert study.methods == Study({**config, "seeds": 1}).methods
    config["models"]["lmidiffusion"]["training"] = {"seed": 40}
    seeds = [
        Study(config).model_settings(name)["training"]["seed"]
        for name in study.trainings("lmidiffusion")
    ]
    assert seeds == [40, 41, 42]


@pytest.fixture
def folded(config: dict) -> dict:
    return merge(config, FOLDED)


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


@pytest.fixture
def crossed(config: dict) -> dict:
    return merge(config, CROSSED)


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


def test_merging() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert merge(base, {"a": {"c": [9]}, "d": {"e": 4}}) == {"a": {"b": 1, "c": [9]}, "d": {"e": 4}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 3}


def test_a_dropped_method_leaves_its_model_untrained(config: dict) -> None:
    config["methods"]["cr_regression"] = config["methods"]["cr_regression_consistent"] = None
    study = Study(config)
    assert "cr_regression" not in study.methods
    assert "cr_regression" in study.models
    assert "cr_regression" not in study.used_models


# -- what training is handed: from the DAG itself --------------------------------------------------


def people_in(paths: set[str], modality: str) -> set[str]:
    """Whose images of a modality are among the files."""
    return {subject_of(path) for path in paths if path.endswith(f"_{modality}.nii.gz")}


def leaks(jobs: list[Job], study: Study) -> list[str]:
    """Inputs of training jobs that a model's ``needs`` does not entitle it to.

    Only what a job reads itself counts. The jobs behind it do read other images: the one that
    preprocesses a subject reads all of its modalities, to write each to its own file.
    """
    found = []
    weights = {study.paths.model(model): model for model in study.models}
    for job in jobs:
        for model in {weights[path] for path in job.outputs if path in weights}:
            allowed = set()
            if study.needs(model) & {"target", "pairs"}:
                allowed |= set(study.volumes("train", study.target))
            source = study.models[model].get("source")
            if study.needs(model) & {"source", "pairs"}:
                allowed |= set(study.volumes("train", source))
            if "labels" in study.needs(model):
                allowed |= {
                    study.paths.volume(person, LABELS) for person in study.subjects("train")
                }
            found += sorted(f"{model} reads {path}" for path in job.data - allowed)
            if "source" in study.needs(model):
                sides = (people_in(job.data, modality) for modality in (study.target, source))
                both = set.intersection(*sides)
                found += sorted(f"{model} reads both sides of {person}" for person in both)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("dag") / "a project")


@pytest.fixture(scope="module")
def dag(project: Path) -> list[Job]:
    return planned(project, *SMOKE)


@pytest.fixture
def study(config: dict) -> Study:
    return Study(config)


@pytest.mark.study
def test_no_training_job_of_the_dag_is_handed_a_source_or_a_held_out_subject(
    dag: list[Job], study: Study
) -> None:
    assert leaks(dag, study) == []
    trained = {}
    for job in dag:
        if job.rule == "train_model":
            (weights,) = (path for path in job.outputs if path.endswith("safetensors"))
            trained[weights] = job.data
    # Not vacuous: every model is there, and a zero-shot one reads the training target, no more.
    assert set(trained) == {study.paths.model(model) for model in study.used_models}
    target = set(study.volumes("train", study.target))
    zero_shot = [model for model in study.used_models if study.needs(model) == {"target"}]
    assert {"lmidiffusion", "lmidiffusion_cr", "unconditional"} <= set(zero_shot)
    assert all(trained[study.paths.model(model)] == target for model in zero_shot)
    for name in study.methods:
        if study.zero_shot(name) and study.seen(name) == "target":
            for model in study.models_of(name):
                assert trained[study.paths.model(model)] == target
    pairs = set(study.volumes("train", "PDw")) | target
    assert trained[study.paths.model("supervised_PDw")] == pairs
    # An unpaired model reads everybody once: some as target, the others as its source.
    unpaired = [model for model in study.used_models if "source" in study.needs(model)]
    assert {"cyclegan_PDw", "cyclegan_T2w"} <= set(unpaired)
    for model in unpaired:
        read, source = trained[study.paths.model(model)], study.models[model]["source"]
        sides = [people_in(read, modality) for modality in (study.target, source)]
        assert all(sides)
        assert not sides[0] & sides[1]
        assert sides[0] | sides[1] == set(study.subjects("train"))
        assert len(read) == len(sides[0]) + len(sides[1])  # and nothing else
    (segmenter,) = (job for job in dag if job.rule == "train_segmenter")
    masks = set(study.volumes("train", "desc-brain_mask"))
    assert segmenter.data == target | masks
    for subject in study.subjects("val") + study.subjects("test"):
        readers = {job.rule for job in dag if any(f"/{subject}/" in path for path in job.data)}
        assert not readers & {"train_model", "train_segmenter"}


@pytest.mark.study
def test_only_tuning_reads_validation_subjects_and_it_reads_no_test_subject(
    dag: list[Job], study: Study
) -> None:
    jobs = [job for job in dag if not job.rule.startswith(("preprocess", "simulate"))]
    for job in jobs:
        read = {
            split
            for split in ("train", "val", "test")
            for s in study.subjects(split)
            if any(f"/{s}/" in path for path in job.data)
        }
        # Both look at every volume, and nothing that is trained or scored reads what they write.
        assert job.rule in ("write_record", "check_data") or read <= {
            "train_model": {"train"},
            "train_segmenter": {"train"},
            "tune_method": {"val"},
            "assess_samples": {"train", "test"},  # of finished models: who is memorised, how near
        }.get(job.rule, {"test"}), job.rule


@pytest.mark.study
def test_tuning_is_handed_no_image_of_any_source(dag: list[Job], study: Study) -> None:
    tuned = [job for job in dag if job.rule == "tune_method"]
    assert {"sdedit", "self_consistent"} <= {Path(job.outputs[0]).stem for job in tuned}
    targets = set(study.volumes("val", study.target)) | set(study.volumes("val", "desc-brain_mask"))
    for job in tuned:
        assert {path for path in job.data if "/volumes/" in path} == targets, job.outputs


def test_settings_by_source_cannot_be_tuned(config: dict) -> None:
    config["methods"]["supervised"]["tune"] = {"x": [1]}
    assert "methods.supervised.tune takes one model for all sources" in message_of(config)


@pytest.mark.study
@pytest.mark.parametrize(
    ("line", "model", "leak"),
    [
        ('files["source"] = self.volumes("train", self.sources[0])', "lmidiffusion", "sub-01_PDw"),
        ('files["target"] = self.volumes("val", self.target)', "lmidiffusion", "sub-04_T1w"),
        (
            'files.setdefault("target", []).append(self.volumes("test", self.target)[0])',
            "lmidiffusion",
            "sub-05_T1w",
        ),
        ('files["target"] = self.volumes("train", self.target)', "cyclegan_PDw", "of sub-02"),
        ('files["source"] = self.volumes("train", "T2w")[1::2]', "cyclegan_PDw", "sub-02_T2w"),
        ('files["source"] = self.volumes("test", source or "T2w")', "cyclegan_T2w", "sub-05_T2w"),
    ],
)
def test_that_check_finds_a_leak(
    project: Path, study: Study, line: str, model: str, leak: str
) -> None:
    path = project / "workflow" / "lmidiff" / "study" / "models.py"
    text = path.read_text()
    start = text.index("    def training_files")
    end = text.index("        return files\n", start)
    path.write_text(f"{text[:end]}        {line}\n{text[end:]}")
    try:
        found = leaks(planned(project, "models", *SMOKE), study)
    finally:
        path.write_text(text)
    assert any(f"{model} reads" in each and leak in each for each in found), found


MADE_BY = {"train_model", "tune_method", "train_segmenter"}


def people_of(job: Job) -> set[str]:
    """Whose volumes a job reads."""
    return {subject_of(path) for path in job.data if "/volumes/" in path}


def behind(job: Job, maker: dict[str, Job]) -> list[Job]:
    """The jobs from a score back to the volumes: what was trained, fitted and chosen for it."""
    found, todo = [], [job]
    while todo:
        one = todo.pop()
        if one not in found and not one.rule.startswith(("preprocess", "simulate")):
            found.append(one)
            todo += [maker[path] for path in one.data if path in maker]
    return found


def seen_in_making(jobs: list[Job]) -> list[str]:
    """Test people whom something behind their own score has seen; the DAG alone is asked."""
    maker = {path: job for job in jobs for path in job.outputs}
    found = []
    for score in (job for job in jobs if job.rule == "score"):
        for job in behind(score, maker):
            seen = people_of(job) & people_of(score) if job.rule in MADE_BY else ()
            found += [f"{job.outputs[0]} has seen {person}" for person in sorted(seen)]
    return found


def planned_in_folds(project: Path, *rows: str) -> list[Job]:
    settings = FOLDED | ({"rows": list(rows)} if rows else {})
    (project / "folded.yaml").write_text(yaml.safe_dump(settings))
    wanted = "results/folded/metrics.csv", "results/folded/slices.csv"
    return planned(project, *wanted, *SMOKE, "folded.yaml")


@pytest.mark.study
def test_nothing_behind_a_score_has_seen_the_people_it_is_of(project: Path, folded: dict) -> None:
    jobs, study = planned_in_folds(project), Study(folded)
    assert seen_in_making(jobs) == []
    # Not vacuous: every row tests everybody once from every source, and behind each score are a
    # segmenter, its models and its settings, made from people.
    maker = {path: job for job in jobs for path in job.outputs}
    tested: dict[tuple[str, str], list[str]] = {}
    for score in (job for job in jobs if job.rule == "score"):
        run, source = Path(score.outputs[0]).stem.removesuffix("_metrics").split("_from-")
        row = run.removesuffix("_fold-2")
        assert people_of(score) == set(study.subjects("test", fold=2 if run != row else 1))
        tested.setdefault((row, source), []).extend(people_of(score))
        made = [job for job in behind(score, maker) if job.rule in MADE_BY]
        expected = 1 + len(study.weights_of(row, source)) + len(study.tuning_file(row))
        assert len(made) == expected
        assert all(people_of(job) for job in made)
    assert set(tested) == {(row, source) for row in study.methods for source in study.sources}
    assert all(sorted(people) == study.subjects() for people in tested.values())


@pytest.mark.study
@pytest.mark.parametrize(
    ("file", "line", "broken", "leak"),
    [
        (
            "lmidiff/study/models.py",
            'self.subjects("train", fold=FIRST_FOLD if crossed else fold)',
            'self.subjects("train", fold=FIRST_FOLD)',
            "models/unconditional_fold-2/weights.safetensors has seen sub-01",
        ),
        (
            "lmidiff/study/study.py",
            "return in_fold(of_seed, fold_of_run(name))",
            "return of_seed",
            "models/unconditional/weights.safetensors has seen sub-01",
        ),
        (
            "rules/translate.smk",
            'study.volumes("val", study.target, fold_of_run(w.method))',
            'study.volumes("val", study.target)',
            "tuning/sdedit.json has seen sub-06",
        ),
        (
            "rules/segment.smk",
            'study.volumes("train", study.target, fold_of_run(w.segmenter))',
            'study.volumes("train", study.target)',
            "models/kmeans/kmeans.json has seen sub-05",
        ),
        (
            "rules/segment.smk",
            "model=lambda w: [study.segmenter(w.method)]",
            'model=lambda w: [study.segmenter("source")]',
            "models/kmeans/kmeans.json has seen sub-01",
        ),
    ],
)
def test_that_check_finds_who_was_seen(
    project: Path, file: str, line: str, broken: str, leak: str
) -> None:
    path = project / "workflow" / file
    text = path.read_text()
    assert text.count(line) == 1
    path.write_text(text.replace(line, broken))
    try:
        found = seen_in_making(planned_in_folds(project, "sdedit"))
    finally:
        path.write_text(text)
    assert any(leak in each for each in found), found


@pytest.mark.study
def test_nothing_behind_the_score_of_a_cross_fitted_row_has_seen_the_person(
    project: Path, crossed: dict
) -> None:
    (project / "crossed.yaml").write_text(yaml.safe_dump(CROSSED))
    wanted = "results/crossed/metrics.csv", "results/crossed/slices.csv"
    jobs, study = planned(project, *wanted, *SMOKE, "crossed.yaml"), Study(crossed)
    assert seen_in_making(jobs) == []
    tested: dict[str, list[str]] = {}
    for score in (job for job in jobs if job.rule == "score" and "_from-PDw_" in job.outputs[0]):
        run = Path(score.outputs[0]).stem.split("_from-")[0]
        tested.setdefault(run.split("_fold-")[0].split("_seed-")[0], []).extend(people_of(score))
    everybody = study.subjects("test")
    assert sorted(tested["supervised"]) == sorted(tested["cyclegan"]) == everybody
    assert sorted(tested["lmidiffusion"]) == sorted(2 * everybody), "from two seeds"
    trained = [
        job for job in jobs if job.rule == "train_model" and "cyclegan_PDw" in str(job.outputs)
    ]
    assert len(trained) == 3
    for job in trained:
        assert len(people_of(job) & set(everybody)) == 2
    path = project / "workflow" / "lmidiff" / "study" / "models.py"
    text = path.read_text()
    line = "if person not in tested]"
    assert text.count(line) == 1
    path.write_text(text.replace(line, "]"))
    try:
        found = seen_in_making(planned(project, *wanted, *SMOKE, "crossed.yaml"))
    finally:
        path.write_text(text)
    assert any("models/supervised_PDw/weights.safetensors has seen" in each for each in found), (
        found
    )


# -- code as input --------------------------------------------------------------------------------


def names_behind(script: str, *modules: str) -> set[str]:
    paths = modules_behind(SCRIPTS / script, *modules)
    return {Path(path).relative_to(ROOT / "workflow" / "lmidiff").as_posix() for path in paths}


def test_training_depends_on_the_core_and_not_on_what_comes_after() -> None:
    names = names_behind("train.py", "lmidiff.models.diffusion")
    core = {
        "lmi/__init__.py",
        "diffusion.py",
        "guidance.py",
        "training/loop.py",
        "networks/unet.py",
    }
    assert core <= names
    assert "segmentation.py" not in names
    others = ("evaluation/", "figures/", "methods/", "report/", "study/", "verdicts/")
    assert not any(name.startswith(others) for name in names)


def test_modules_that_are_imported_late_count(tmp_path: Path) -> None:
    late = (
        "def f():\n    try:\n        pass\n    finally:\n        from lmidiff.data import upright\n"
    )
    (tmp_path / "script.py").write_text(f'"""import lmidiff.sampler"""\n{late}')
    names = names_behind(tmp_path / "script.py")
    assert "data/upright.py" in names
    assert not {"sampler.py", "methods/self_consistent.py"} & names


def test_every_import_of_the_package_is_followed() -> None:
    package = ROOT / "workflow" / "lmidiff"
    for path in [*package.rglob("*.py"), *SCRIPTS.glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmidiff."):
                if node.module in PLUMBING:
                    continue
                stem = package.joinpath(*node.module.split(".")[1:])
                files = {str(stem.with_suffix(".py")), str(stem / "__init__.py")}
                assert files & set(modules_behind(path)), (path, node.module)


def test_a_histogram_does_not_depend_on_lmi() -> None:
    names = names_behind("train.py", "lmidiff.models.histogram")
    assert "models/histogram.py" in names
    assert not names & {"lmi/__init__.py", "diffusion.py", "models/diffusion.py"}


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_the_modules_behind_a_script_exist_and_hold_no_plumbing(script: str) -> None:
    names = names_behind(script)
    plumbing = {name.removeprefix("lmidiff.").replace(".", "/") + ".py" for name in PLUMBING}
    assert not names & plumbing
    if script.startswith("plot"):
        assert "training/loop.py" not in names


def test_the_evaluation_does_not_depend_on_the_networks() -> None:
    for script in ("score.py", "segment.py", "collect_scores.py", "write_table.py"):
        networks = ("diffusion.py", "lmi/", "networks/", "training/")
        assert not any(name.startswith(networks) for name in names_behind(script))


def test_a_copy_elsewhere_depends_on_its_own_modules(tmp_path: Path) -> None:
    # The command line of another checkout must not hash this one's code.
    shutil.copy(SCRIPTS / "score.py", tmp_path)
    assert modules_behind(tmp_path / "score.py") == modules_behind(SCRIPTS / "score.py")


# -- whole heads ----------------------------------------------------------------------------------


def heads_of(config: dict, folder: Path) -> dict:
    """The study on whole heads, from label maps that exist as far as counting them goes."""
    for number in range(6):
        (folder / f"head_{number}.nii.gz").write_bytes(b"x")
    cohorts = config["data"]["cohorts"]
    nobody = {"train": 0, "val": 0, "test": 0}
    made = {"kind": "labels", "folder": str(folder), "subjects": cohorts["simulated"]["subjects"]}
    cohorts |= {"simulated": {"kind": "simulated", "subjects": nobody}, "heads": made}
    config["data"]["field"] = "head"
    config["methods"]["synth_regression"] = None
    return config


def test_what_a_study_shows_goes_with_its_models(config: dict, tmp_path: Path) -> None:
    old = copy.deepcopy(config)
    del old["data"]["field"], old["segmentation"]["field"]
    for brain in (Study(config), Study(old)):
        assert (brain.field, brain.segmented) == ("brain", "brain")
        assert set(brain.images) == {"target", "percentile", "grid"}
    heads = Study(heads_of(config, tmp_path))
    assert heads.images == {**brain.images, "field": "head"}


def test_who_has_no_head_is_refused(config: dict, tmp_path: Path) -> None:
    template = copy.deepcopy(config)
    template["data"]["field"] = "head"
    assert "the built-in template of data.cohorts.simulated has none" in message_of(template)
    painted = heads_of(config, tmp_path)
    painted["methods"]["synth_regression"] = {"model": "synth_regression"}
    assert "models.synth_regression paints brains from label maps" in message_of(painted)


def test_lesions_are_of_tissues(config: dict, tmp_path: Path) -> None:
    cohort = sheet_of(tmp_path, "sub-x PDw test", "sub-x T2w test", "sub-x T1w test")
    sheet, marked = Path(cohort["sheet"]), tmp_path / "marked.nii.gz"
    marked.write_bytes(b"x")
    head, *lines = sheet.read_text().splitlines()
    columns = [f"{head}\tlabels\tlesions", *(f"{x}\t{marked.name}\t{marked.name}" for x in lines)]
    sheet.write_text("\n".join(columns) + "\n")
    config["data"]["cohorts"]["own"] = cohort
    assert Study(config).with_lesions == ["sub-x"]
    config["segmentation"]["field"] = "head"
    assert "whose clusters are no tissues, and sub-x has lesions marked" in message_of(config)
