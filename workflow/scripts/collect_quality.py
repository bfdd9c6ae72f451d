"""One table and one page of how preprocessing went."""

from lmidiff.common.jobs import job
from lmidiff.data.quality import collect_quality, write_quality_table
from lmidiff.report.quality_page import write_page

with job(snakemake.log):
    table = collect_quality(snakemake.input.judgements)
    write_quality_table(table, snakemake.output.csv)
    write_page(table, snakemake.input.pictures, snakemake.params.excluded, snakemake.output.html)
