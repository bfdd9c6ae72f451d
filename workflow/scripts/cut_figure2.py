"""Keep the slices that Figure 2 shows."""

from lmidiff.common.jobs import job
from lmidiff.figures.panels import cut_panels

with job(snakemake.log):
    params = snakemake.params
    cut_panels(params.panels, params.slice, params.pixel_size, snakemake.output[0])
