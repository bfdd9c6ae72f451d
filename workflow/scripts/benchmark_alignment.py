"""Align raw scans of known motion, and measure what a subject costs."""

from lmidiff.benchmarks.alignment import measure_cost, measure_subjects
from lmidiff.benchmarks.brain_masks import write_comparison
from lmidiff.devices import set_up
from lmidiff.running.jobs import job

with job(snakemake.log):
    set_up(1)
    maps, params = snakemake.input.maps, snakemake.params
    write_comparison(measure_cost(maps[0]), snakemake.output.cost)
    write_comparison(measure_subjects(maps, params.motions, params.coarser), snakemake.output.csv)
