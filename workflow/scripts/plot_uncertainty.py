"""Draw uncertainty against error."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.figures.uncertainty import figure_uncertainty

with job(snakemake.log):
    params, output = snakemake.params, snakemake.output
    summary, curves = (pd.read_csv(snakemake.input[name]) for name in ("summary", "curves"))
    figure_uncertainty(summary, curves, params.labels, output.png, output.pdf, seed=params.seed)
    keys = ["source", "method", "subject"]
    write_text(output.csv, curves.merge(summary, on=keys).to_csv(index=False))
