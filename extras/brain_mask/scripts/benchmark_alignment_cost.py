"""Measure what the preprocessing of a raw subject costs, and take it times IXI's subjects."""

from brain_mask.cost import measure_cost
from brain_mask.masks import write_comparison
from lmidiff.common.devices import set_up
from lmidiff.common.files import write_json
from lmidiff.common.jobs import job
from lmidiff.data.ixi import read_people
from lmidiff.records.provenance import origin

with job(snakemake.log):
    set_up(1)
    subjects = len(read_people(snakemake.input.split))
    cost, files = measure_cost(snakemake.input.maps[0], subjects)
    write_comparison(cost, snakemake.output.cost)
    write_comparison(files, snakemake.output.files)
    write_json(snakemake.output.origin, origin(snakemake.input))
