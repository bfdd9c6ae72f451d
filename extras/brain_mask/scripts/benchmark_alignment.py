"""Align raw scans of known motion, of one person and of two."""

from brain_mask.alignment import measure_subjects, summarise_subjects
from brain_mask.masks import write_comparison
from lmidiff.common.devices import set_up
from lmidiff.common.files import write_json
from lmidiff.common.jobs import job
from lmidiff.records.provenance import origin

with job(snakemake.log):
    set_up(1)
    table = measure_subjects(
        snakemake.input.maps, snakemake.params.motions, snakemake.params.coarser
    )
    write_comparison(table, snakemake.output.csv)
    write_comparison(summarise_subjects(table), snakemake.output.summary)
    write_json(snakemake.output.origin, origin(snakemake.input))
