"""Keep the slices that Figure 2 shows."""

from lmidiff.figures.panels import cut_panels
from lmidiff.running.jobs import job

with job(snakemake.log):
    params = snakemake.params
    cut_panels(params.panels, params.slice, params.pixel_size, snakemake.output[0])
