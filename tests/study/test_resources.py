"""What jobs ask a cluster for: against recorded runs, and by law."""

import math
import re

import pandas as pd
import pytest
import yaml

from lmidiff.common.errors import StudyError
from lmidiff.study.models import merge
from lmidiff.study.rates import Work, derive_costs, read_costs
from lmidiff.study.resources import LEAST_MINUTES, TIME_MARGIN, Needs
from lmidiff.study.study import Study
from workflows import ROOT, copy_project, counted, planned_on_cluster

CONFIG, REFERENCE = ROOT / "config", ROOT / "results/reference"
RECORD = REFERENCE / "default/record"


@pytest.fixture(scope="module")
def costs():
    return read_costs(CONFIG / "costs.csv")


@pytest.fixture(scope="module")
def recorded():
    """The study that was recorded."""
    return yaml.safe_load((RECORD / "config.yaml").read_text())


def needs_of(config, costs, over=None, most=None):
    return Needs(Study(merge(config, over or {})), costs, most)


def test_a_raw_subject_asks_by_its_scans(costs, recorded):
    needs = needs_of(recorded, costs)
    (two, memory), (four, same) = needs.align(2), needs.align(4)
    assert four - costs["start"].seconds == pytest.approx(2 * (two - costs["start"].seconds))
    # One scan is at work at a time.
    assert memory == same == costs["align"].megabytes


# -- the numbers have an origin -------------------------------------------------------------------


def test_the_costs_are_what_the_records_show():
    pd.testing.assert_frame_equal(pd.read_csv(CONFIG / "costs.csv"), derive_costs(REFERENCE))


def test_the_guide_shows_the_recorded_overhead():
    lines = (ROOT / "docs/cluster.md").read_text().splitlines()
    shown = {tuple(cell.strip() for cell in line.split("|")[2:-1]) for line in lines}
    columns = ["jobs", "submissions", "driver_cpu_s", "driver_memory_mb"]
    columns += ["wall_s", "queue_s", "held_s", "jobs_s"]
    files = sorted((REFERENCE / "benchmarks/overhead").glob("*.csv"))
    assert files
    for file in files:
        row = pd.read_csv(file, dtype=str, keep_default_na=False).iloc[0]
        assert tuple(row[columns]) in shown, file


def test_estimates_of_the_recorded_study_add_up_to_its_record(costs, recorded):
    needs, cost = needs_of(recorded, costs), pd.read_csv(RECORD / "cost.csv")
    seconds = cost.set_index(["stage", "job"])["seconds"]
    study = needs.study
    asked = {model: needs.train(model)[0] for model in study.rows.trained_models}
    ratios = [asked[model] / seconds["train"][model] for model in asked]
    assert min(ratios) == pytest.approx(1, rel=0.01)  # the dearest model's, so for no other less
    assert max(ratios) < 8
    pairs = [(m, s) for m in study.rows.methods for s in study.sources]
    translated = sum(needs.translate(*pair, n)[0] for pair in pairs for n in study.shards(pair[0]))
    # A job without a network counts as scoring, in the estimate alone.
    assert seconds["translate"]["all"] <= translated <= 1.1 * seconds["translate"]["all"]
    tuned = [method for method in study.rows.methods if study.rows.tuning_file(method)]
    assert sum(needs.tune(m)[0] for m in tuned) == pytest.approx(seconds["tune"]["all"], rel=0.01)


def test_every_recorded_job_would_have_had_enough(costs, recorded):
    needs, cost = needs_of(recorded, costs), pd.read_csv(RECORD / "cost.csv")
    trained = cost[(cost["stage"] == "train") & (cost["job"] != "all")]
    assert len(trained)
    for row in trained.itertuples():
        seconds, memory = needs.train(row.job)
        assert 60 * needs.minutes(seconds) >= 1.5 * row.seconds
        assert needs.megabytes(memory) >= 1.3 * row.memory_mb + 2 * costs["snakemake"].megabytes
    most = cost.set_index(["stage", "job"])["memory_mb"]
    for name, (_, memory) in {
        "data": needs.data(40),
        "translate": needs.translate("lmidiffusion", "PDw", 0),
        "tune": needs.tune("sdedit"),
        "score": needs.score(),
    }.items():
        assert needs.megabytes(memory) > most[name]["all"] + 2 * costs["snakemake"].megabytes, name


# -- the sizes are counted right ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("over", "factor"),
    [
        ({"model_defaults": {"training": {"steps": 1500}}}, 2),
        ({"model_defaults": {"training": {"batch_size": 24}}}, 3),
        ({"data": {"grid": {"image_size": 128}}}, 4),
        ({"model_defaults": {"training": {"crop": 0.5}}}, 0.25),
    ],
)
def test_work_follows_the_config(recorded, over, factor):
    before, after = (Work(Study(merge(recorded, part))) for part in ({}, over))
    assert after.train("unconditional") == pytest.approx(factor * before.train("unconditional"))


def test_a_gan_sees_whole_slices(recorded):
    over = {"model_defaults": {"training": {"crop": 0.5}}}
    before, after = (Work(Study(merge(recorded, part))) for part in ({}, over))
    assert after.train("cyclegan_PDw") == before.train("cyclegan_PDw")


def test_a_shard_takes_its_share(costs, recorded):
    eight = merge(recorded, {"data": {"cohorts": {"simulated": {"subjects": {"test": 8}}}}})
    over = {"translation": {"subjects_per_shard": 3}}  # 3, 3, 2
    whole = needs_of(eight, costs).translate("lmidiffusion", "T2w", 0)
    parts = [needs_of(eight, costs, over).translate("lmidiffusion", "T2w", n) for n in range(3)]
    start = costs["start"].seconds
    assert sum(p[0] - start for p in parts) == pytest.approx(whole[0] - start)
    assert parts[0][0] > parts[2][0]
    assert len({p[1] for p in parts}) == 1  # memory is of a batch


def test_more_at_each_attempt_but_no_more_than_the_site_allows(costs, recorded):
    needs = needs_of(recorded, costs, most=60)
    assert needs.minutes(0) == LEAST_MINUTES
    assert needs.minutes(1000, 1) == math.ceil(1000 * TIME_MARGIN / 60)
    assert needs.minutes(1000, 2) == 60
    assert needs.minutes(10**7) == 60
    assert [needs.megabytes(400, n) for n in (1, 2, 3)] == pytest.approx(
        [n * needs.megabytes(400) for n in (1, 2, 3)], abs=3
    )


def test_what_has_no_network_wants_no_gpu(costs, recorded):
    needs = needs_of(recorded, costs)
    assert needs.gpus("histogram") == 0
    assert needs.gpus("unconditional") == 1
    assert not needs.uses_network("inverted_histogram", "PDw")
    assert needs.uses_network("sdedit", "PDw")


@pytest.mark.parametrize("text", ["", "cost,value\nstart,1\n"])
def test_a_damaged_table_of_costs_is_named(tmp_path, text):
    path = tmp_path / "costs.csv"
    path.write_text(text)
    with pytest.raises(StudyError, match=r"costs\.csv"):
        read_costs(path)
    with pytest.raises(StudyError, match=r"costs\.csv"):
        read_costs(tmp_path / "none" / "costs.csv")


# -- what a study becomes on a cluster ------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A study of 580 scanned subjects, dry: its project and what Snakemake printed."""
    folder = copy_project(tmp_path_factory.mktemp("large") / "project")
    lines = ["subject\tmodality\tpath\tsplit"]
    for number in range(580):
        split = "train" if number < 400 else "val" if number < 480 else "test"
        for modality in ("T1w", "PDw", "T2w", "FLAIR"):
            path = folder / f"scans/{number:03d}_{modality}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            path.touch()
            lines.append(f"{number:03d}\t{modality}\t{path}\t{split}")
    (folder / "large.tsv").write_text("\n".join(lines) + "\n")
    none = {"subjects": {"train": 0, "val": 0, "test": 0}}
    cohorts = {"simulated": none, "large": {"kind": "sheet", "sheet": "large.tsv"}}
    data = {"cohorts": cohorts, "sources": ["PDw", "T2w"]}
    settings = {"study": "large", "device": "auto", "data": data}
    (folder / "large.yaml").write_text(yaml.safe_dump(settings))
    return folder, planned_on_cluster(folder, "--configfile", "large.yaml")


def studies() -> list[str]:
    """Configs of studies that train; others want the weights of one that has run."""
    texts = {path.name: path.read_text() for path in sorted(CONFIG.glob("*.yaml"))}
    return [
        name
        for name, text in texts.items()
        if re.search("^study:", text, re.M) and not re.search("^ *checkpoints:", text, re.M)
    ]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n == "real_fast.yaml" else pytest.mark.variant)
        for n in studies()
    ],
)
def test_every_study_can_be_planned_for_a_cluster(name, tmp_path):
    folder = copy_project(tmp_path / "project")
    printed = planned_on_cluster(folder, "--configfile", f"config/{name}")
    jobs, here, there, sent = counted(printed)
    assert jobs == here + there
    assert 0 < sent < 400


def test_a_plan_that_fails_says_why():
    assert counted("some line\nERROR my.tsv: 2 columns\n") == (2,)


def blocks(printed: str, rule: str) -> list[dict[str, str]]:
    """Resources of the jobs of a rule."""
    found = []
    for block in printed.split("rule ")[1:]:
        if block.startswith(f"{rule}:"):
            line = next(line for line in block.splitlines() if "resources:" in line)
            pairs = line.split("resources: ")[1].split(", ")
            found.append(dict(pair.split("=") for pair in pairs))
    return found


def test_a_study_of_580_subjects_is_some_tens_of_submissions(large):
    _, printed = large
    jobs, here, there, sent = counted(printed)
    assert jobs == here + there
    assert jobs == int(printed.split("\ntotal")[1].split()[0])
    assert jobs > 600
    assert here < 60  # tables, pages and figures
    assert 20 < sent < 100


def test_every_rule_of_a_study_runs_here_or_says_what_it_needs():
    benchmarks = ("bench.smk", "masks.smk")
    files = [p for p in (ROOT / "workflow/rules").glob("*.smk") if p.name not in benchmarks]
    text = "\n".join(path.read_text() for path in (ROOT / "Snakefile", *files))
    local = {
        name
        for part in re.findall(r"localrules:\n((?: +\w+,\n)+)", text)
        for name in part.split(",")
    }
    local = {name.strip() for name in local}
    rules = re.findall(r"^( *)rule ?(\w*):\n((?:\1 .*\n|\n)+)", text, re.MULTILINE)
    assert len(rules) > 30
    for _, name, body in rules:
        assert name in local or "localrule: True" in body or "**asks(" in body, name or body


def test_gpu_jobs_ask_for_the_sites_gpu_and_others_do_not(large):
    _, printed = large
    (histogram,) = (b for b in blocks(printed, "train_model") if "gpu" not in b)
    assert histogram["slurm_partition"] == "main"
    trained = [b for b in blocks(printed, "train_model") if "gpu" in b]
    assert len(trained) == 7  # three of diffusion, two regressions, two CycleGANs
    translated = [b for b in blocks(printed, "translate") if "gpu" in b]
    assert len(translated) == 10 * 2 * 3  # methods, sources, shards of 40 of 100 subjects
    for job in (*trained, *translated, *blocks(printed, "tune_method")):
        assert (job["gpu"], job["gpu_model"], job["slurm_partition"]) == ("1", "a100", "gpu")
    for rule in ("segment", "score", "preprocess"):
        found = blocks(printed, rule)
        assert found, rule
        for job in found:
            assert "gpu" not in job
            assert "gpu_model" not in job
            assert job["slurm_partition"] == "main"


def test_a_study_on_the_cpu_asks_for_no_gpu(tmp_path):
    folder = copy_project(tmp_path / "project")
    (folder / "cpu.yaml").write_text("study: cpu\ndevice: cpu\nthreads: 3\n")
    printed = planned_on_cluster(folder, "--configfile", "cpu.yaml")
    jobs = blocks(printed, "train_model") + blocks(printed, "translate")
    assert jobs
    assert not [job for job in jobs if "gpu" in job or job["slurm_partition"] != "main"]
    assert {job["cpus_per_task"] for job in blocks(printed, "tune_method")} == {"3"}
    assert {job["cpus_per_task"] for job in blocks(printed, "score")} == {"1"}
