"""Draw each method's worst test slice."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.pictures import read_pictures
from lmidiff.figures.failures import figure_failures

with job(snakemake.log):
    path, output = snakemake.input.pictures, snakemake.output
    figure_failures(path, snakemake.params.labels, output.png, output.pdf)
    _, rows = read_pictures(path)
    write_text(output.csv, pd.DataFrame(rows).to_csv(index=False))
