"""Write the page that a person pastes into a review."""

from pathlib import Path

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.report.summary_page import report_text

with job(snakemake.log):
    write_text(snakemake.output[0], report_text(Path(snakemake.input.verdicts).parent))
