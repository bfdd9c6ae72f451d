"""Average what was measured of lesions over people and trainings, and draw it."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.lesions import lesions_table
from lmidiff.figures.lesions import figure_lesions

with job(snakemake.log):
    params, made = snakemake.params, snakemake.output
    measured = pd.read_csv(snakemake.input.measured)
    table = lesions_table(measured, params.labels, params.sources, seed=params.seed)
    write_text(made.csv, table.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    figure_lesions(table, params.sources, params.ceilings, made.png, made.pdf)
