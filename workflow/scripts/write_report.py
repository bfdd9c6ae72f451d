"""Write the page that a person pastes into a review."""

from pathlib import Path

from lmidiff.files import write_text
from lmidiff.report.page import report_text
from lmidiff.running.jobs import job

with job(snakemake.log):
    write_text(snakemake.output[0], report_text(Path(snakemake.input.verdicts).parent))
