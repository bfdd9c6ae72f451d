"""Write the page that shows one test person's volumes in three planes."""

from lmidiff.common.jobs import job
from lmidiff.report.viewer import kept_volumes, write_viewer

with job(snakemake.log):
    params = snakemake.params
    volumes, looks = kept_volumes(snakemake.input.volumes), {"field": params.field}
    write_viewer(volumes, snakemake.output[0], params.title, params.note, **looks)
