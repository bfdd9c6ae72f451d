# The validated study and the names of its files, for all the files beside this one.
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

PACKAGE = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(PACKAGE))

from lmidiff.claims import read_claims
from lmidiff.data.ledger import read_ledger
from lmidiff.environment import promise_gpus, share_package
from lmidiff.errors import StudyError
from lmidiff.provenance import modules_behind
from lmidiff.study import LABELS, MASK, Study
from lmidiff.validation import check_config

share_package(PACKAGE)
if "gpu" in workflow.global_resources and workflow.global_resources["gpu"].value:
    promise_gpus()  # by --resources gpu=2, on the command line or in a profile
try:
    check_config(config)
    ledger = read_ledger(Path(workflow.basedir) / "config" / "datasets.tsv")
    study = Study(config, ledger)
    read_claims(Path(workflow.basedir) / "config" / "claims.yaml")
except StudyError as error:
    raise WorkflowError(str(error)) from None

OUT = str(study.folder)
THREADS = config["threads"]
BENCH = "results/benchmarks"
BRAIN_NETWORK = str(PACKAGE / "lmidiff/data/brain_network.safetensors")


wildcard_constraints:
    subject=r"sub-[A-Za-z0-9]+",
    cohort="|".join(map(re.escape, study.cohorts)),
    model="|".join(map(re.escape, study.models)),
    method="|".join(map(re.escape, study.methods)),
    source="|".join(map(re.escape, study.sources)),
    shard=r"\d+",


def code(script, *modules):
    """The package's modules that a script runs: editing one of them reruns the rule."""
    return modules_behind(PACKAGE / "scripts" / script, *modules)


def processes(model):
    """In how many processes a model is trained: one a GPU."""
    return study.model_settings(model).get("training", {}).get("processes", 1)


def gpus(model):
    """GPUs that a process with this model can use: one, if a network computes."""
    trained = model is not None and "training" in study.model_settings(model)
    return 1 if trained and config["device"] != "cpu" else 0


def all_volumes():
    """Every preprocessed volume of the study."""
    return [
        file for subject in study.subjects() for file in study.volume_files(subject)
    ]


def shard_folders(wildcards):
    """Translated shards of a method and source."""
    return [
        study.shard_folder(wildcards.method, wildcards.source, n) for n in study.shards
    ]


def for_each_row(pattern):
    """A pattern filled for every method and source: the rows of the table."""
    return expand(pattern, method=study.methods, source=study.sources)


def figure_files():
    """The figures of the study."""
    names = ["figure2", "scores"] + (
        ["curves", "previews"] if study.trained_models else []
    )
    return expand(f"{OUT}/figures/{{name}}.{{kind}}", name=names, kind=["png", "pdf"])


def verdict_files():
    """The verdicts, the comparisons behind them, and the summary of the study."""
    names = ["verdicts.csv", "verdict_parts.csv", "comparisons.csv", "report.md"]
    return expand(f"{OUT}/{{name}}", name=names)


def bench_files():
    """The benchmarks' tables and figures."""
    names = ["lmi", "end_to_end", "throughput"]
    return expand(f"{BENCH}/{{name}}.{{kind}}", name=names, kind=["csv", "png", "pdf"])


def sampling_methods():
    """Methods of the study that sample by settings of their own: not those that are tuned."""
    return [
        name
        for name in study.methods
        if study.method_class(name).family == "diffusion"
        and "tune" not in study.methods[name]
    ]


def translation_costs():
    """Method and source to Snakemake's benchmark files of its translation."""
    pattern = f"{OUT}/cost/translate/{{}}_from-{{}}_shard-{{}}.tsv"
    return [
        ((name, source), [pattern.format(name, source, n) for n in study.shards])
        for name in sampling_methods()
        for source in study.sources
    ]
