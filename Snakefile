# The front door: config, validation, includes, named targets. What each target makes: README.md.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/translate.smk"
include: "workflow/rules/segment.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/extracts.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/explain.smk"
include: "workflow/rules/bench.smk"


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
        figure_files(),
        study.folder / "metrics.csv",
        study.folder / "slices.csv",
        study.folder / "record" / "provenance.json",


rule data:
    input:
        all_volumes(),
        rules.write_split.output,


rule models:
    input:
        [study.model_file(model) for model in study.used_models],


rule table:
    input:
        rules.write_table.output,


rule figures:
    input:
        figure_files(),
