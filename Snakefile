# The front door: config, validation, includes, named targets. What each target makes: README.md.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/verdicts.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/explain.smk"
include: "workflow/rules/bench.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/origin.smk"


localrules:
    all,
    data,
    models,
    table,
    figures,


rule all:
    default_target: True
    input:
        rules.write_table.output,
        verdict_files(),
        figure_files(),
        rules.collect_quality.output if study.raw_subjects else [],
        report_pages(),
        study.folder / "metrics.csv",
        study.folder / "slices.csv",
        study.folder / "record" / "provenance.json",
        study.folder / "split.tsv",


rule data:
    input:
        all_volumes(),
        study.folder / "split.tsv",


rule models:
    input:
        [study.model_file(model) for model in study.used_models],


rule table:
    input:
        rules.write_table.output,


rule figures:
    input:
        figure_files(),
