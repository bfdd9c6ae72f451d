"""Draw coronal and sagittal reformats of every method, and their flicker."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.figures.through_plane import figure_through_plane

with job(snakemake.log):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    flicker = pd.read_csv(given.flicker)
    files = (output.png, output.pdf)
    figure_through_plane(given.pictures, flicker, params.labels, *files, seed=params.seed)
    write_text(output.csv, flicker.to_csv(index=False))
