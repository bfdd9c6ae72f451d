"""Take a subject's scans out of the verified archives."""

from pathlib import Path

from lmidiff.data.archive import extract
from lmidiff.data.fetch import require_verified
from lmidiff.downloads import ordered
from lmidiff.jobs import job

with job(snakemake.log):
    for order, scan in zip(snakemake.params.orders, snakemake.output.scans, strict=True):
        entry = ordered(order)
        require_verified(entry, order["path"], order["receipt"])
        extract(order["path"], {Path(scan).name: scan}, entry.member_bytes)
