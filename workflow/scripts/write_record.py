"""Write what the results were made from."""

import yaml

from lmidiff.common.devices import describe, pick_device
from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.records.provenance import record

with job(snakemake.log):
    params, given = snakemake.params, snakemake.input
    write_text(snakemake.output.config, yaml.safe_dump(params.config, sort_keys=False))
    files = {"data": given.volumes, "weights": given.weights, "metrics": [given.metrics]}
    device = describe(pick_device(params.device))
    write_json(snakemake.output.provenance, record(files, params.config, device, params.members))
