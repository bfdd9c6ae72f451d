"""Compare ways to find the brain."""

from brain_mask.masks import compare_masks, summarise, write_comparison
from lmidiff.common.devices import set_up
from lmidiff.common.files import write_json
from lmidiff.common.jobs import job
from lmidiff.records.provenance import origin

with job(snakemake.log):
    set_up(1)
    table = compare_masks(snakemake.input.maps, only=snakemake.params.only)
    write_comparison(table, snakemake.output.csv)
    write_comparison(summarise(table), snakemake.output.summary)
    write_json(snakemake.output.origin, origin(snakemake.input))
