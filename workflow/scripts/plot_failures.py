"""Draw each method's worst test slice."""

import pandas as pd

from lmidiff.figures.failures import figure_failures
from lmidiff.figures.pictures import read_pictures
from lmidiff.files import write_text
from lmidiff.running.jobs import job

with job(snakemake.log):
    path, output = snakemake.input.pictures, snakemake.output
    figure_failures(path, snakemake.params.labels, output.png, output.pdf)
    _, rows = read_pictures(path)
    write_text(output.csv, pd.DataFrame(rows).to_csv(index=False))
