"""What training, tuning and segmenters are handed, from the DAG itself."""

from pathlib import Path

import pytest
import yaml

from lmidiff.data.slices import subject_of
from lmidiff.study.paths import LABELS
from lmidiff.study.study import Study
from studies import CROSSED, FOLDED, message_of
from workflows import SMOKE, Job, copy_project, planned


def people_in(paths: set[str], modality: str) -> set[str]:
    """Whose images of a modality are among the files."""
    return {subject_of(path) for path in paths if path.endswith(f"_{modality}.nii.gz")}


def leaks(jobs: list[Job], study: Study) -> list[str]:
    """Inputs of training jobs that a model's ``needs`` does not entitle it to.

    Only what a job reads itself counts. The jobs behind it do read other images: the one that
    preprocesses a subject reads all of its modalities, to write each to its own file.
    """
    found = []
    weights = {study.paths.model(model): model for model in study.models.blocks}
    for job in jobs:
        for model in {weights[path] for path in job.outputs if path in weights}:
            allowed = set()
            if study.models.needs(model) & {"target", "pairs"}:
                allowed |= set(study.people.volumes("train", study.target))
            source = study.models.blocks[model].get("source")
            if study.models.needs(model) & {"source", "pairs"}:
                allowed |= set(study.people.volumes("train", source))
            if "labels" in study.models.needs(model):
                allowed |= {
                    study.paths.volume(person, LABELS) for person in study.people.subjects("train")
                }
            found += sorted(f"{model} reads {path}" for path in job.data - allowed)
            if "source" in study.models.needs(model):
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
    assert set(trained) == {study.paths.model(model) for model in study.rows.used_models}
    target = set(study.people.volumes("train", study.target))
    zero_shot = [
        model for model in study.rows.used_models if study.models.needs(model) == {"target"}
    ]
    assert {"lmidiffusion", "lmidiffusion_cr", "unconditional"} <= set(zero_shot)
    assert all(trained[study.paths.model(model)] == target for model in zero_shot)
    for name in study.rows.methods:
        if study.rows.zero_shot(name) and study.rows.seen(name) == "target":
            for model in study.rows.models_of(name):
                assert trained[study.paths.model(model)] == target
    pairs = set(study.people.volumes("train", "PDw")) | target
    assert trained[study.paths.model("supervised_PDw")] == pairs
    # An unpaired model reads everybody once: some as target, the others as its source.
    unpaired = [model for model in study.rows.used_models if "source" in study.models.needs(model)]
    assert {"cyclegan_PDw", "cyclegan_T2w"} <= set(unpaired)
    for model in unpaired:
        read, source = trained[study.paths.model(model)], study.models.blocks[model]["source"]
        sides = [people_in(read, modality) for modality in (study.target, source)]
        assert all(sides)
        assert not sides[0] & sides[1]
        assert sides[0] | sides[1] == set(study.people.subjects("train"))
        assert len(read) == len(sides[0]) + len(sides[1])  # and nothing else
    (segmenter,) = (job for job in dag if job.rule == "train_segmenter")
    masks = set(study.people.volumes("train", "desc-brain_mask"))
    assert segmenter.data == target | masks
    for subject in study.people.subjects("val") + study.people.subjects("test"):
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
            for s in study.people.subjects(split)
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
    targets = set(study.people.volumes("val", study.target)) | set(
        study.people.volumes("val", "desc-brain_mask")
    )
    for job in tuned:
        assert {path for path in job.data if "/volumes/" in path} == targets, job.outputs


def test_settings_by_source_cannot_be_tuned(config: dict) -> None:
    config["methods"]["supervised"]["tune"] = {"x": [1]}
    assert "methods.supervised.tune takes one model for all sources" in message_of(config)


@pytest.mark.study
@pytest.mark.parametrize(
    ("line", "model", "leak"),
    [
        (
            'files["source"] = self.people.volumes("train", self.people.sources[0])',
            "lmidiffusion",
            "sub-01_PDw",
        ),
        (
            'files["target"] = self.people.volumes("val", self.people.target)',
            "lmidiffusion",
            "sub-04_T1w",
        ),
        (
            'files["target"] = self.people.volumes("test", self.people.target)[:1]',
            "lmidiffusion",
            "sub-05_T1w",
        ),
        (
            'files["target"] = self.people.volumes("train", self.people.target)',
            "cyclegan_PDw",
            "of sub-02",
        ),
        (
            'files["source"] = self.people.volumes("train", "T2w")[1::2]',
            "cyclegan_PDw",
            "sub-02_T2w",
        ),
        (
            'files["source"] = self.people.volumes("test", source or "T2w")',
            "cyclegan_T2w",
            "sub-05_T2w",
        ),
    ],
)
def test_that_check_finds_a_leak(
    project: Path, study: Study, line: str, model: str, leak: str
) -> None:
    path = project / "workflow" / "lmidiff" / "study" / "models.py"
    text = path.read_text()
    start = text.index("    def files(")
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
        assert people_of(score) == set(study.people.subjects("test", fold=2 if run != row else 1))
        tested.setdefault((row, source), []).extend(people_of(score))
        made = [job for job in behind(score, maker) if job.rule in MADE_BY]
        expected = 1 + len(study.rows.weights_of(row, source)) + len(study.rows.tuning_file(row))
        assert len(made) == expected
        assert all(people_of(job) for job in made)
    assert set(tested) == {(row, source) for row in study.rows.methods for source in study.sources}
    assert all(sorted(people) == study.people.subjects() for people in tested.values())


@pytest.mark.study
@pytest.mark.parametrize(
    ("file", "line", "broken", "leak"),
    [
        (
            "lmidiff/study/models.py",
            'self.people.subjects("train", fold=FIRST_FOLD if crossed else fold)',
            'self.people.subjects("train", fold=FIRST_FOLD)',
            "models/unconditional_fold-2/weights.safetensors has seen sub-01",
        ),
        (
            "lmidiff/study/rows.py",
            "return in_fold(of_seed, fold_of_run(name))",
            "return of_seed",
            "models/unconditional/weights.safetensors has seen sub-01",
        ),
        (
            "rules/translate.smk",
            '"val", study.target, fold_of_run(w.method)',
            '"val", study.target',
            "tuning/sdedit.json has seen sub-06",
        ),
        (
            "rules/segment.smk",
            '"train", study.target, fold_of_run(w.segmenter)',
            '"train", study.target',
            "models/kmeans/kmeans.json has seen sub-05",
        ),
        (
            "rules/segment.smk",
            "model=lambda w: [study.rows.segmenter(w.method)]",
            'model=lambda w: [study.rows.segmenter("source")]',
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
    everybody = study.people.subjects("test")
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
