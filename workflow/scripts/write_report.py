"""Write the page that a person pastes into a review."""

from pathlib import Path

from lmidiff.files import write_text
from lmidiff.jobs import job
from lmidiff.report_page import report_text

with job(snakemake.log):
    write_text(snakemake.output[0], report_text(Path(snakemake.input.verdicts).parent))
