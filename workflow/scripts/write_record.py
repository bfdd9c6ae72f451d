"""Write what the results were made from."""

import yaml

from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.records.provenance import devices_of, record

with job(snakemake.log):
    params, given = snakemake.params, snakemake.input
    write_text(snakemake.output.config, yaml.safe_dump(params.config, sort_keys=False))
    files = {"data": given.volumes, "weights": given.weights, "metrics": [given.metrics]}
    device = devices_of(given.weights)
    write_json(snakemake.output.provenance, record(files, params.config, device, params.members))
