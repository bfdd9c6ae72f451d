"""Average what was measured of structures over people, and draw it."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.structures import structures_table
from lmidiff.figures.structures import figure_structures

with job(snakemake.log):
    params, made = snakemake.params, snakemake.output
    measured = pd.read_csv(snakemake.input.measured)
    table = structures_table(measured, params.labels, params.sources, seed=params.seed)
    write_text(made.csv, table.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    figure_structures(table, params.sources, made.png, made.pdf)
