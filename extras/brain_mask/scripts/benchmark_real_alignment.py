"""Measure the registration of real scans."""

from brain_mask.masks import write_comparison
from brain_mask.real_alignment import compare_pairs, summarise_pairs
from lmidiff.common.devices import set_up
from lmidiff.common.files import write_json
from lmidiff.common.jobs import job
from lmidiff.records.provenance import origin

with job(snakemake.log):
    set_up(1)
    given = snakemake.input
    table = compare_pairs(list(zip(given.flair, given.t1w, strict=True)))
    write_comparison(table, snakemake.output.csv)
    write_comparison(summarise_pairs(table), snakemake.output.summary)
    write_json(snakemake.output.origin, origin(given))
