"""Draw the data at a glance."""

import pandas as pd

from lmidiff.figures.data import figure_data
from lmidiff.files import write_text
from lmidiff.running.jobs import job

with job(snakemake.log):
    given, output = snakemake.input, snakemake.output
    quality = pd.read_csv(given.csv)
    figure_data(quality, given.pictures, snakemake.params.modalities, output.png, output.pdf)
    write_text(output.csv, quality.to_csv(index=False))
