"""Draw quality against the cost of training."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.rows import rows_of_table
from lmidiff.evaluation.tables import MethodInfo
from lmidiff.figures.training_cost import figure_training_cost, kind_of

with job(snakemake.log):
    params, output = snakemake.params, snakemake.output
    methods = [MethodInfo(**row) for row in params.methods]
    labels, kinds = {m.key: m.label for m in methods}, {m.key: kind_of(m) for m in methods}
    rows = rows_of_table(pd.read_csv(snakemake.input.table), labels, params.sources)
    figure_training_cost(rows, kinds, params.sources, output.png, output.pdf)
    write_text(output.csv, rows.to_csv(index=False))
