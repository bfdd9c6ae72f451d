# The front door: config, validation, includes in the order of an image's way, named targets.
# What each target makes: README.md.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/shown.smk"
include: "workflow/rules/cluster.smk"


if "recorded" not in config:

    include: "workflow/rules/fetch.smk"
    include: "workflow/rules/data.smk"
    include: f"workflow/rules/{'checkpoints' if 'checkpoints' in config else 'train'}.smk"
    include: "workflow/rules/translate.smk"
    include: "workflow/rules/segment.smk"

    if whole.wanted:

        include: "workflow/rules/network.smk"

        if whole.structures:

            include: "workflow/rules/structures.smk"


include: "workflow/rules/evaluate.smk"
include: "workflow/rules/verdicts.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/bench.smk"


if "recorded" in config:

    include: "workflow/rules/recorded.smk"


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
        rules.collect_quality.output if study.people.raw_subjects else [],
        report_pages(),
        paths.metrics,
        paths.slices,
        paths.provenance,
        paths.split,


rule data:
    input:
        volumes_of(study.people.subjects()),
        paths.split,


rule models:
    input:
        all_weights(),


rule table:
    input:
        rules.write_table.output,


rule figures:
    input:
        figure_files(),
