"""Compare tissue volumes of each row with the truth over people, and draw it."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.tissue_volumes import volumes_table
from lmidiff.figures.tissue_volumes import figure_tissue_volumes

with job(snakemake.log):
    params, made = snakemake.params, snakemake.output
    measured = pd.read_csv(snakemake.input.measured)
    table = volumes_table(measured, params.labels, params.sources, seed=params.seed)
    write_text(made.csv, table.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    figure_tissue_volumes(table, params.sources, params.ceilings, made.png, made.pdf)
