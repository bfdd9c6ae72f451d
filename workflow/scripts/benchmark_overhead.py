"""Measure what running jobs costs besides the jobs."""

from pathlib import Path

from lmidiff.benchmarks.measure import load_settings
from lmidiff.benchmarks.overhead import benchmark_overhead
from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.records.provenance import origin

with job(snakemake.log):
    names, cores = snakemake.wildcards, snakemake.params.cores
    group = load_settings(snakemake.input.settings)["overhead"]["group"]
    project = Path(snakemake.scriptdir).resolve().parents[1]
    table = benchmark_overhead(names.how, int(names.jobs), group, cores, project)
    write_text(snakemake.output.csv, table.to_csv(index=False))
    write_json(snakemake.output.origin, origin(snakemake.input))
