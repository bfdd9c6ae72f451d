"""Draw the data at a glance."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.figures.data_quality import figure_data

with job(snakemake.log):
    given, output = snakemake.input, snakemake.output
    quality = pd.read_csv(given.csv)
    figure_data(quality, given.pictures, snakemake.params.modalities, output.png, output.pdf)
    write_text(output.csv, quality.to_csv(index=False))
