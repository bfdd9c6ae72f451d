"""Align raw scans of known motion, of one person and of two."""

from lmidiff.benchmarks.alignment import measure_subjects, summarise_subjects
from lmidiff.benchmarks.brain_masks import write_comparison
from lmidiff.devices import set_up
from lmidiff.files import write_json
from lmidiff.records.provenance import origin
from lmidiff.running.jobs import job

with job(snakemake.log):
    set_up(1)
    table = measure_subjects(
        snakemake.input.maps, snakemake.params.motions, snakemake.params.coarser
    )
    write_comparison(table, snakemake.output.csv)
    write_comparison(summarise_subjects(table), snakemake.output.summary)
    write_json(snakemake.output.origin, origin(snakemake.input))
