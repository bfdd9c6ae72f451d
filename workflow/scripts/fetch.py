"""See that a file of the ledger is here, and that it is the right one."""

from lmidiff.data.fetch import fetch
from lmidiff.downloads import ordered
from lmidiff.jobs import job

with job(snakemake.log):
    order = snakemake.params.order
    # No parameter: another mirror gives the same bytes, so it must not repeat the job.
    mirror = snakemake.config["data"].get("mirror", "")
    fetch(ordered(order), order["path"], snakemake.output[0], mirror=mirror)
