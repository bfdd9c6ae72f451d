# The validated study and the names of its files, for all the files beside this one.
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

PACKAGE = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(PACKAGE))

from lmidiff.study import shown
from lmidiff.verdicts.claims import read_claims
from lmidiff.data.ledger import read_ledger
from lmidiff.common.environment import own_backend, promise_gpus, share_package
from lmidiff.common.errors import StudyError
from lmidiff.common.last_words import LastWords, say_last
from lmidiff.common.outlook import Outlook
from lmidiff.records.packed import ENDING
from lmidiff.records.served import served
from lmidiff.records.provenance import modules_behind
from lmidiff.records.replay import recorded_config, restorable
from lmidiff.report.notes import note_of
from lmidiff.study.paths import KMEANS, LABELS, MASK
from lmidiff.study.rates import read_costs
from lmidiff.study.repeats import FIRST_FOLD, fold_of_run, repeatable, row_of
from lmidiff.study.resources import Needs
from lmidiff.study.study import Study
from lmidiff.study.whole import Whole
from lmidiff.common.schema import check_config

share_package(PACKAGE)
own_backend()
if "gpu" in workflow.global_resources and workflow.global_resources["gpu"].value:
    promise_gpus()  # by --resources gpu=2, on the command line or in a profile
try:
    if "recorded" in config:
        left_out = config.get("data", {}).get("exclude", [])
        recorded = recorded_config(config["recorded"], left_out)
        config.clear()
        config.update(recorded)
    check_config(config)
    if "checkpoints" in config:
        kept, left = served(config, config["checkpoints"])
        config.update(kept)
        if left:
            logger.warning(
                f"Left out, since {config['checkpoints']} has no weights for them: "
                f"{', '.join(left)}"
            )
    ledger = read_ledger(Path(workflow.basedir) / "config" / "datasets.tsv")
    study = Study(config, ledger)
    whole = Whole(study)
    read_claims(Path(workflow.basedir) / "config" / "claims.yaml")
    costs = read_costs(Path(workflow.basedir) / "config" / "costs.csv")
except StudyError as error:
    say_last([f"ERROR {error}"])
    raise WorkflowError(str(error)) from None

OUT = str(study.folder)
paths = study.paths
THREADS = config["threads"]
USES_GPU = config["device"] != "cpu"
BENCH = "results/benchmarks"
BRAIN_NETWORKS = [
    str(PACKAGE / f"lmidiff/data/brain_{name}.safetensors")
    for name in ("network", "surface")
]


wildcard_constraints:
    subject=r"sub-[A-Za-z0-9]+",
    cohort="|".join(map(re.escape, study.people.cohorts)),
    model=repeatable(study.models.blocks),
    method=repeatable(study.rows.methods),
    source="|".join(map(re.escape, study.sources)),
    shard=r"\d+",


def code(script, modules=lambda wildcards: ()):
    """The package's modules that a script runs: editing one of them reruns the rule.

    They are looked for where a job of the rule is planned, which most are not in a job's own plan.
    ``modules`` maps wildcards to those that the script finds by name.
    """
    path = PACKAGE / "scripts" / script
    return lambda wildcards: modules_behind(path, *modules(wildcards))


def processes(model):
    """In how many processes a model is trained: one a GPU."""
    return study.models.settings(model).get("training", {}).get("processes", 1)


def names_of(run, source):
    """What is measured of a run and source is filed under these, and the subject."""
    return {
        "study": study.name,
        "method": row_of(run),
        "source": source,
        "target": study.target,
        "seed": study.rows.seed_of(run),
    }


def volumes_of(people):
    """Every preprocessed volume of some people."""
    return [file for who in people for file in study.people.volume_files(who)]


def tested_volumes(wildcards):
    """Every preprocessed volume of the test subjects of a run."""
    return volumes_of(study.rows.tested(wildcards.method))


def shard_folders(wildcards):
    """Translated shards of a method and source."""
    return study.shard_folders(wildcards.method, wildcards.source)


def for_each_shown(pattern):
    """A pattern filled for every run that is shown, and source: of each row, its first training."""
    return expand(pattern, method=study.rows.shown_runs, source=study.sources)


def for_each_run(pattern):
    """A pattern filled for every training of every method, and source: what is scored."""
    return expand(pattern, method=study.rows.runs, source=study.sources)


def all_weights():
    """The weights of every used model, from every seed or fold."""
    return [
        paths.model(m)
        for name in study.rows.used_models
        for m in study.models.trainings(name)
    ]


def training_curves():
    """Training of a model, from every seed or fold, to its learning curve."""
    models = [
        m for name in study.rows.trained_models for m in study.models.trainings(name)
    ]
    return {model: paths.model(model, "curve.csv") for model in models}


def all_shards():
    """Every translated shard that is shown, see for_each_shown."""
    return [
        folder
        for run in study.rows.shown_runs
        for source in study.sources
        for folder in study.shard_folders(run, source)
    ]


def seconds_of(job):
    """About how long a job takes: what it asks a cluster for, or a start."""
    runtime = job.rule.resources.get("runtime")
    # Snakemake keeps what a rule was given behind a name of its own.
    asked = getattr(getattr(runtime, "_evaluator", runtime), "seconds", None)
    return asked(job.wildcards) if asked else costs["start"].seconds


def running_jobs():
    """What runs now, one by one where jobs go to a cluster in groups."""
    submitted = set(workflow.scheduler.running)
    return {job for each in submitted for job in getattr(each, "jobs", [each])}


last_words = LastWords([study.folder / "logs", f"{BENCH}/logs"])
outlook = Outlook(study.name)


onstart:
    # With Snakemake's own limit, each job that ends sets off one more look a second at all jobs that
    # wait, and at all of their files, until the study ends; a study of hundreds of jobs then keeps a
    # core busy. A limit that somebody asked for stays.
    limit = workflow.scheduler.job_rate_limiter
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None
    last_words.begin()
    dag = workflow.dag
    estimates = {job: seconds_of(job) for job in dag.needrun_jobs()}
    outlook.begin(
        estimates,
        lambda: set(dag.finished_jobs),
        running_jobs,
        workflow.cores,
    )


onsuccess:
    outlook.end()


onerror:
    outlook.end()
    last_words.tell(log)
