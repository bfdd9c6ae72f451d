"""Write the report's first page: what the study found."""

from pathlib import Path

from lmidiff.common.jobs import job
from lmidiff.report.front import write_front

with job(snakemake.log):
    given = snakemake.input
    write_front(
        Path(given.verdicts).parent, given.picture, snakemake.output[0], snakemake.params.about
    )
