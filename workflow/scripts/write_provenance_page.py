"""Write what the study's numbers were made from and with, as a page of the report."""

import json
from pathlib import Path

from lmidiff.common.jobs import job
from lmidiff.report.provenance_page import write_provenance_page

with job(snakemake.log):
    record = json.loads(Path(snakemake.input.provenance).read_text())
    config = Path(snakemake.input.config).read_text()
    write_provenance_page(record, config, snakemake.output[0])
