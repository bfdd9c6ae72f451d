"""Take a subject's scans out of the verified archives."""

from pathlib import Path

from lmidiff.common.jobs import job
from lmidiff.data.archive import extract
from lmidiff.data.downloads import ordered
from lmidiff.data.fetch import require_verified

with job(snakemake.log):
    roots = snakemake.config["data"]["roots"]
    for order, scan in zip(snakemake.params.orders, snakemake.output.scans, strict=True):
        entry, path, receipt = ordered(order, roots)
        require_verified(entry, path, receipt)
        extract(path, {Path(scan).name: scan}, entry.member_bytes)
