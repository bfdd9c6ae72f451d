"""Draw what each trained model made at moments of its training."""

from lmidiff.common.jobs import job
from lmidiff.figures.previews import figure_previews

with job(snakemake.log):
    models, output = snakemake.params.models, snakemake.output
    files = dict(zip(models, snakemake.input.previews, strict=True))
    figure_previews(files, output.png, output.pdf)
