"""A study's people, models and rows: who is in which split, and what does not fit together."""

import copy
from pathlib import Path

import pytest
import yaml

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check_config
from lmidiff.data.ledger import read_ledger
from lmidiff.records.provenance import modules_behind
from lmidiff.study.models import merge
from lmidiff.study.paths import LABELS, MASK
from lmidiff.study.study import Study
from studies import message_of, sheet_of
from workflows import ROOT

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
    splits = [set(study.people.subjects(split)) for split in ("train", "val", "test")]
    assert [len(split) for split in splits] == list(counts)
    assert set.union(*splits) == set(study.people.subjects())
    assert len(study.people.subjects()) == sum(counts)


def test_shards_hold_every_test_subject_once(config: dict) -> None:
    config["data"]["cohorts"]["simulated"]["subjects"] = {"train": 2, "val": 1, "test": 7}
    config["translation"]["subjects_per_shard"] = 3
    study = Study(config)
    held = [study.shard_subjects("source", shard) for shard in study.shards("source")]
    assert [len(shard) for shard in held] == [3, 3, 1]
    assert [subject for shard in held for subject in shard] == study.people.subjects("test")
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
    plain = Study(config).people.subjects(cohort="simulated")
    rows = ("01 T1w test", "01 PDw test", "01 T2w test")
    config["data"]["cohorts"]["mine"] = sheet_of(tmp_path, *rows)
    study = Study(config)
    assert study.people.subjects(cohort="mine") == ["sub-01"]
    apart = study.people.subjects(cohort="simulated")
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
    assert study.people.generated_cohorts == ["simulated"]
    assert study.people.real_target_cohorts == ["people"]
    assert study.people.subjects("test") == ["sub-r1"]
    scans = study.people.scans_of(["sub-r1"])["sub-r1"]
    assert {name: scans[name] for name in study.sources} == {
        name: study.paths.raw("sub-r1", name) for name in study.sources
    }
    (kind,) = study.people.kinds(study.people.scanned_subjects)
    assert set(kind.volumes) == {*study.modalities, MASK, LABELS}
    if aligned:
        assert not study.people.raw_kinds
        assert study.people.labels_file("sub-r1") == str(tmp_path / "r1_labels.nii.gz")
    else:
        (kind,) = study.people.raw_kinds
        assert (kind.modalities, kind.reference, kind.moving) == (("T1w",), "T1w", [])
        assert study.people.labels_file("sub-r1") == study.paths.aligned("sub-r1", LABELS)
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
    assert Study(config).people.subjects(cohort="mine") == ["sub-x1", "sub-x2"], "x3 has no source"
    config["data"]["cohorts"]["mine"] = people
    assert "sub-x3 has no PDw row" in message_of(config)


def test_slices_that_are_tested(config: dict) -> None:
    config["data"]["grid"]["slices"] = 12
    assert Study(config).rows.slices("source") == 12 * len(Study(config).people.subjects("test"))
    config["data"]["test_every"] = 3
    study = Study(config)
    assert study.rows.slices("source") == 4 * len(study.people.subjects("test"))
    every = study.people.every(study.people.subjects())
    assert {every[s] for s in study.people.subjects("train") + study.people.subjects("val")} == {1}
    assert {every[s] for s in study.people.subjects("test")} == {3}


@pytest.mark.parametrize("name", ["simulated_sources", "case_sri24", "case_avg152", "case_patient"])
def test_models_of_the_real_study_are_trained_once_for_all(name: str) -> None:
    """The same settings and the same files, but for the study's folder, so the same states."""

    def study_of(name: str) -> Study:
        files = (ROOT / "config" / f"{part}.yaml" for part in ("config", name))
        config = merge(*(yaml.safe_load(file.read_text()) for file in files))
        return Study(config, read_ledger(ROOT / "config" / "datasets.tsv"))

    real, other = study_of("real"), study_of(name)
    assert other.people.subjects("train") == real.people.subjects("train")
    assert other.people.subjects("val") == real.people.subjects("val")
    assert not set(other.people.subjects("test")) & set(real.people.subjects())
    assert set(other.rows.used_models) <= set(real.rows.used_models)
    assert (other.people.images, other.seed) == (real.people.images, real.seed)
    for model in other.rows.used_models:
        assert other.models.settings(model) == real.models.settings(model)
        handed = {
            role: [file.replace(str(other.folder), str(real.folder)) for file in files]
            for role, files in other.models.files(model).items()
        }
        assert handed == real.models.files(model)
    for row in other.rows.methods:
        assert other.rows.settings(row) == real.rows.settings(row)


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
    assert "cyclegan_PDw" in study.rows.used_models
    assert "cyclegan_T2w" not in study.rows.used_models


def test_unpaired_training_on_one_person(config: dict) -> None:
    config["data"]["cohorts"]["simulated"]["subjects"]["train"] = 1
    assert "models.cyclegan_PDw takes target and source from different" in message_of(config)


def test_a_source_for_a_model_that_sees_none(config: dict) -> None:
    config["models"]["lmidiffusion"]["source"] = "PDw"
    with pytest.raises(StudyError, match=r"models\.lmidiffusion sees the target alone"):
        Study(config)


def test_what_the_rows_of_the_gan_saw(config: dict) -> None:
    study = Study(config)
    assert study.rows.seen("cyclegan") == "target + the source, unpaired"
    assert study.rows.seen("cyclegan_unseen") == "target + another modality, unpaired"
    assert study.rows.zero_shot("cyclegan_unseen")
    assert not study.rows.zero_shot("cyclegan")
    for source in study.sources:
        (other,) = set(study.sources) - {source}
        assert study.rows.model_of("cyclegan", source) == f"cyclegan_{source}"
        assert study.rows.model_of("cyclegan_unseen", source) == f"cyclegan_{other}"


def test_an_unknown_family_is_an_error_even_if_no_method_uses_the_model(config: dict) -> None:
    config["models"]["spare"] = {"family": "gan9"}
    assert "unknown model family 'gan9'; known are" in message_of(config)


def test_a_row_that_is_kept_must_exist(config: dict) -> None:
    config["rows"] = ["source", "telepathy"]
    assert "rows names telepathy, which is not under methods" in message_of(config)
    config["rows"] = ["source", "lmidiffusion", "oracle"]
    study = Study(config)
    assert list(study.rows.methods) == ["source", "lmidiffusion", "oracle"]
    assert study.rows.used_models == ["lmidiffusion"]


def test_a_model_that_sees_a_source_names_one_of_the_study(config: dict) -> None:
    config["models"]["supervised_PDw"]["source"] = "FLAIR"
    assert "models.supervised_PDw.source 'FLAIR' is not in data.sources" in message_of(config)


def test_each_source_has_its_model_where_a_method_has_several(config: dict) -> None:
    study = Study(config)
    assert study.rows.model_of("supervised", "T2w") == "supervised_T2w"
    assert study.rows.models_of("supervised") == ["supervised_PDw", "supervised_T2w"]
    assert study.rows.models_of("self_consistent") == ["lmidiffusion_cr"]
    del config["methods"]["supervised"]["model"]["T2w"]
    assert "methods.supervised.model names no model for source T2w" in message_of(config)


def test_what_a_row_saw_is_told(config: dict) -> None:
    config["methods"]["swapped"] = {
        "method": "supervised",
        "model": {"PDw": "supervised_T2w", "T2w": "supervised_PDw"},
    }
    study = Study(config)
    assert study.rows.seen("self_consistent") == "target"
    assert study.rows.seen("supervised") == "pairs of target and the source"
    assert study.rows.seen("swapped") == "pairs of target and another modality"
    shown = {name for name in study.rows.methods if not study.rows.zero_shot(name)}
    assert shown == {"cyclegan", "supervised", "lookup", "oracle"}
    assert study.rows.seen("lookup") == "the answer"
    assert study.rows.seen("synth_regression") == "target + label maps"


def test_pairs_are_handed_over_in_turn(config: dict) -> None:
    study = Study(config)
    names = [Path(path).name for path in study.models.files("supervised_PDw")["pairs"]]
    assert names[:2] == ["sub-01_PDw.nii.gz", "sub-01_T1w.nii.gz"]
    assert len(names) == 2 * len(study.people.subjects("train"))


# -- models ---------------------------------------------------------------------------------------


def test_a_models_block_is_laid_on_the_defaults(config: dict) -> None:
    before = copy.deepcopy(config)
    study = Study(config)
    settings = study.models.settings("lmidiffusion_cr")
    defaults = config["model_defaults"]
    assert settings["contrast_randomised"] is True
    own = config["models"]["lmidiffusion_cr"]["guidance"]
    assert own["bandwidths"] == [4.0, 12.0, 32.0]
    assert settings["guidance"] == {**defaults["guidance"], **own}
    assert settings["training"] == {**defaults["training"], "seed": config["seed"]}
    assert settings["unet"]["channels"] == [16, 32]
    assert study.models.settings("unconditional")["guidance"]["condition"] == "none"
    assert study.models.settings("histogram") == {"family": "histogram"}
    assert config == before


def test_a_models_own_seed_wins(config: dict) -> None:
    config["models"]["lmidiffusion"]["training"] = {"seed": 9}
    assert Study(config).models.settings("lmidiffusion")["training"]["seed"] == 9


def test_each_network_is_trained_from_every_seed_and_nothing_else_is(config: dict) -> None:
    config |= {"seed": 5, "seeds": 3}
    study = Study(config)
    assert study.models.seeds == [5, 6, 7]
    assert study.models.trainings("lmidiffusion") == [
        *("lmidiffusion", "lmidiffusion_seed-6", "lmidiffusion_seed-7")
    ]
    assert study.models.trainings("histogram") == ["histogram"]
    assert {"source", "lookup", "oracle", "histogram", "inverted_histogram"} <= set(study.rows.runs)
    assert not any(
        name.startswith(("source_", "lookup_", "histogram_")) for name in study.rows.runs
    )
    first, again = study.rows.block("sdedit", "PDw"), study.rows.block("sdedit_seed-7", "PDw")
    assert first["model"].pop("training") | {"seed": 7} == again["model"].pop("training")
    assert first == again
    assert study.rows.weights_of("sdedit_seed-7", "PDw") == [
        study.paths.model("unconditional_seed-7")
    ]
    assert study.rows.weights_of("inverted_histogram", "PDw") == [study.paths.model("histogram")]
    assert study.rows.model_of("cyclegan_seed-6", "PDw") == "cyclegan_PDw_seed-6"
    assert study.rows.tuning_file("sdedit_seed-6") == [study.paths.tuning("sdedit_seed-6")]
    assert study.models.files("lmidiffusion_seed-6") == study.models.files("lmidiffusion")
    assert [study.rows.seed_of(name) for name in ("sdedit", "sdedit_seed-6")] == [5, 6]
    assert list(study.rows.labels) == list(study.rows.methods), (
        "the table has a row for all trainings"
    )
    assert study.rows.methods == Study({**config, "seeds": 1}).rows.methods
    config["models"]["lmidiffusion"]["training"] = {"seed": 40}
    seeds = [
        Study(config).models.settings(name)["training"]["seed"]
        for name in study.models.trainings("lmidiffusion")
    ]
    assert seeds == [40, 41, 42]


def test_a_model_may_be_trained_once_whatever_the_studys_seeds_are(config: dict) -> None:
    before = Study(copy.deepcopy({**config, "seeds": 3}))
    config["models"]["image_cr"]["seeds"] = 1
    check_config(config)
    study = Study({**config, "seeds": 3})
    assert study.models.trainings("image_cr") == ["image_cr"]
    assert set(before.rows.runs) - set(study.rows.runs) == {"image_cr_seed-2", "image_cr_seed-3"}
    settings = [each.models.settings("image_cr") for each in (before, study)]
    assert settings[0] == settings[1], "the training is the same one"
    assert before.rows.trained_once == []
    assert study.rows.trained_once == ["image_cr"]
    assert Study(config).rows.trained_once == []
    config["models"]["image_cr"]["seeds"] = 2
    with pytest.raises(StudyError, match=r"models\.image_cr\.seeds"):
        check_config(config)


def test_a_translation_depends_on_the_settings_that_its_method_takes(config: dict) -> None:
    study = Study(config)
    behind = modules_behind(
        ROOT / "workflow/scripts/translate.py", *study.rows.modules_of("sdedit")
    )
    names = {Path(path).relative_to(ROOT / "workflow/lmidiff").as_posix() for path in behind}
    assert {"methods/settings.py", "methods/sdedit.py", "models/diffusion.py"} <= names
    assert not {"methods/ilvr.py", "methods/__init__.py", "models/cyclegan.py"} & names


def test_merging() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert merge(base, {"a": {"c": [9]}, "d": {"e": 4}}) == {"a": {"b": 1, "c": [9]}, "d": {"e": 4}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 3}


def test_a_dropped_method_leaves_its_model_untrained(config: dict) -> None:
    config["methods"]["cr_regression"] = config["methods"]["cr_regression_consistent"] = None
    study = Study(config)
    assert "cr_regression" not in study.rows.methods
    assert "cr_regression" in study.models.blocks
    assert "cr_regression" not in study.rows.used_models


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
        assert (brain.people.field, brain.people.segmented) == ("brain", "brain")
        assert set(brain.people.images) == {"target", "percentile", "grid"}
    heads = Study(heads_of(config, tmp_path))
    assert heads.people.images == {**brain.people.images, "field": "head"}


def test_who_has_no_head_is_refused(config: dict, tmp_path: Path) -> None:
    template = copy.deepcopy(config)
    template["data"]["field"] = "head"
    assert "the built-in template of data.cohorts.simulated has none" in message_of(template)
    painted = heads_of(config, tmp_path)
    painted["methods"]["synth_regression"] = {"model": "synth_regression"}
    assert "models.synth_regression paints brains from label maps" in message_of(painted)


def test_lesions_are_of_tissues(config: dict, tmp_path: Path) -> None:
    cohort = sheet_of(tmp_path, "sub-x PDw test", "sub-x T2w test", "sub-x T1w test")
    sheet = Path(cohort["sheet"])
    for name in ("tissues.nii.gz", "marked.nii.gz"):
        (tmp_path / name).write_bytes(b"x")
    head, *lines = sheet.read_text().splitlines()
    ends = "\ttissues.nii.gz\tmarked.nii.gz"
    columns = [f"{head}\tlabels\tlesions", *(line + ends for line in lines)]
    sheet.write_text("\n".join(columns) + "\n")
    config["data"]["cohorts"]["own"] = cohort
    assert Study(config).people.with_lesions == ["sub-x"]
    config["segmentation"]["field"] = "head"
    assert "whose clusters are no tissues, and sub-x has lesions marked" in message_of(config)
