"""Draw what each row of an ablation is worth."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.rows import rows_beside
from lmidiff.figures.bars import figure_bars

with job(snakemake.log):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    tables = pd.read_csv(given.table), pd.read_csv(given.comparisons)
    rows = rows_beside(*tables, params.labels, params.sources, params.reference)
    figure_bars(rows, params.labels, params.sources, params.reference, output.png, output.pdf)
    write_text(output.csv, rows.to_csv(index=False))
