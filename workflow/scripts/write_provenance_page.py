"""Write what the study's numbers were made from and with, as a page of the report."""

import json
from pathlib import Path

from lmidiff.report.provenance_page import write_provenance_page
from lmidiff.running.jobs import job

with job(snakemake.log):
    record = json.loads(Path(snakemake.input.provenance).read_text())
    config = Path(snakemake.input.config).read_text()
    write_provenance_page(record, config, snakemake.output[0])
