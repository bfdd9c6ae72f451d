# The validated study and the names of its files, for all the files beside this one.
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

PACKAGE = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(PACKAGE))

from lmidiff.study import figures as study_figures
from lmidiff.verdicts.claims import read_claims
from lmidiff.data.ledger import read_ledger
from lmidiff.common.environment import promise_gpus, share_package
from lmidiff.common.errors import StudyError
from lmidiff.records.checkpoints import served
from lmidiff.records.provenance import modules_behind
from lmidiff.records.replay import recorded_config
from lmidiff.study.resources import Needs, read_costs
from lmidiff.study.study import LABELS, MASK, Study
from lmidiff.common.schema import check_config

share_package(PACKAGE)
if "gpu" in workflow.global_resources and workflow.global_resources["gpu"].value:
    promise_gpus()  # by --resources gpu=2, on the command line or in a profile
try:
    if "recorded" in config:
        recorded = recorded_config(config["recorded"])
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
    read_claims(Path(workflow.basedir) / "config" / "claims.yaml")
    costs = read_costs(Path(workflow.basedir) / "config" / "costs.csv")
except StudyError as error:
    raise WorkflowError(str(error)) from None

OUT = str(study.folder)
THREADS = config["threads"]
USES_GPU = config["device"] != "cpu"
BENCH = "results/benchmarks"
BRAIN_NETWORK = str(PACKAGE / "lmidiff/data/brain_network.safetensors")
# The report sorts categories and items by name; the numbers keep them in reading order.
CATEGORIES = {
    name: f"{number} {name}"
    for number, name in enumerate(
        [
            "Verdicts",
            "Table",
            "Figures",
            "Ablations",
            "Data quality",
            "Cost",
            "Provenance",
        ],
        start=1,
    )
}
FIGURES = {
    "figure1": "Figure 1: sampling with and without guidance",
    "figure2": "Figure 2: translations, close-ups, K-Means labels",
    "scores": "Figure 3: scores by method and subject",
    "failures": "Figure 4: the worst slice of each method",
    "uncertainty": "Figure 5: uncertainty against error",
    "through_plane": "Figure 6: through the plane",
    "flow": "Figure 7: data flow",
    "pareto": "Figure 8: quality against sampling steps",
    "ablation": "Ablation: what each part is worth",
    "data_quality": "Every volume at a glance",
    "curves": "Learning curves",
    "previews": "Pictures taken while training",
    "samples": "What the unconditional models draw",
    "training_cost": "Quality against training cost",
}
FIGURE1 = study_figures.figure1_models(study)


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


def all_shards():
    """Every translated shard of every method and source."""
    return [
        study.shard_folder(method, source, shard)
        for method in study.methods
        for source in study.sources
        for shard in study.shards
    ]


def test_volumes():
    """Every preprocessed volume of the test subjects."""
    return [file for s in study.subjects("test") for file in study.volume_files(s)]


def figure(name, category):
    """A figure's PNG as an item of the report, with the caption of its name."""
    return report(
        f"{OUT}/figures/{name}.png",
        category=CATEGORIES[category],
        caption=f"../report/{name}.rst",
        labels={"item": FIGURES[name]},
    )


def figure_names():
    """The figures of the study, as far as it has what they show."""
    names = ["figure2", "flow", "scores", "failures", "through_plane", "training_cost"]
    names += ["figure1"] if FIGURE1 else []
    names += ["curves"] if study.trained_models else []
    names += ["uncertainty"] if study_figures.has_spread(study) else []
    names += ["data_quality"]
    if study.trained_models and "checkpoints" not in config:
        names += ["previews"]
    if study.unconditional_models and "recorded" not in config:
        names += ["samples"]
    names += ["ablation"] if "ablation" in config["figures"] else []
    return names + (["pareto"] if config["figures"].get("pareto") else [])


def figure_files():
    """Every figure with the numbers it was drawn from; previews are their own."""
    kinds = ["png", "pdf", "csv"]
    files = expand(f"{OUT}/figures/{{name}}.{{kind}}", name=figure_names(), kind=kinds)
    return [file for file in files if not file.endswith("previews.csv")]


def verdict_files():
    """The verdicts, the comparisons behind them, and the summary of the study."""
    names = ["verdicts", "verdict_parts", "comparisons", "gap"]
    return [*expand(f"{OUT}/{{name}}.csv", name=names), f"{OUT}/report.md"]


def bench_files():
    """The benchmarks' tables and figures, and what they come from."""
    names = ["lmi", "end_to_end", "throughput"]
    return expand(
        f"{BENCH}/{{name}}.{{kind}}", name=names, kind=["csv", "json", "png", "pdf"]
    )


def sampling_methods():
    """Methods of the study that sample by settings of their own: not those that are tuned."""
    return [
        name
        for name in study.methods
        if study.method_class(name).family == "diffusion"
        and not study.methods[name].get("tune")
    ]


def translation_costs():
    """Method and source to Snakemake's benchmark files of its translation."""
    pattern = f"{OUT}/cost/translate/{{}}_from-{{}}_shard-{{}}.tsv"
    return [
        ((name, source), [pattern.format(name, source, n) for n in study.shards])
        for name in sampling_methods()
        for source in study.sources
    ]


# Page: its CSV, its category, and its title.
PAGES = {
    "table1": (f"{OUT}/table1.csv", "Table", "Table 1, sortable"),
    "subjects": (f"{OUT}/metrics.csv", "Table", "Table 1, by subject"),
    "flicker": (
        f"{OUT}/extracts/flicker.csv",
        "Figures",
        "Numbers of figure 6: flicker",
    ),
    "data_quality": (
        f"{OUT}/extracts/data_quality.csv",
        "Data quality",
        "Every volume in numbers",
    ),
    "cost": (f"{OUT}/record/cost.csv", "Cost", "Wall time and memory"),
}
if study_figures.has_spread(study):
    PAGES["uncertainty"] = (
        f"{OUT}/extracts/uncertainty.csv",
        "Figures",
        "Numbers of figure 5: uncertainty",
    )
PAGES["verdicts"] = (f"{OUT}/verdicts.csv", "Verdicts", "Verdicts, sortable")
PAGES["comparisons"] = (
    f"{OUT}/comparisons.csv",
    "Verdicts",
    "Comparisons, sortable",
)
PAGES["gap"] = (f"{OUT}/gap.csv", "Verdicts", "Gap to the supervised row, sortable")


def report_pages():
    """The pages of the report that are not figures."""
    return expand(f"{OUT}/report/{{page}}.html", page=[*PAGES, "provenance"])
