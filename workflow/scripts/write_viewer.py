"""Write the page that shows one test person's volumes in three planes."""

from lmidiff.common.jobs import job
from lmidiff.report.viewer import kept_volumes, write_viewer

with job(snakemake.log):
    params = snakemake.params
    write_viewer(
        kept_volumes(snakemake.input.volumes), snakemake.output[0], params.title, params.note
    )
