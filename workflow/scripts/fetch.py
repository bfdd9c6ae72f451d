"""See that a file of the ledger is here, and that it is the right one."""

from lmidiff.common.jobs import job
from lmidiff.data.downloads import ordered
from lmidiff.data.fetch import fetch

with job(snakemake.log):
    # Not parameters: other places for the same bytes must not repeat the job.
    data = snakemake.config["data"]
    entry, path, _ = ordered(snakemake.params.order, data["roots"])
    fetch(entry, path, snakemake.output[0], mirror=data.get("mirror", ""))
