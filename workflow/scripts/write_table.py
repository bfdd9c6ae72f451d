"""Write Table 1 in three formats."""

import logging

import pandas as pd

from lmidiff.common.jobs import job
from lmidiff.evaluation.costs import row_costs
from lmidiff.evaluation.scores import read_scores
from lmidiff.evaluation.tables import MethodInfo, read_published, table1
from lmidiff.report.summary import holes_text
from lmidiff.report.table_writers import tidy, write_table1

with job(snakemake.log):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    curves = {model: pd.read_csv(file) for model, file in params.curves.items()}
    costs = pd.read_csv(given.cost)
    table = table1(
        read_scores(given.metrics),
        [MethodInfo(**row) for row in params.methods],
        read_published(given.published),
        sources=params.sources,
        subjects=params.subjects,
        costs=row_costs(costs, curves, params.models, params.sources, params.slices),
        seed=params.seed,
    )
    for hole in holes_text(tidy(table)):
        logging.getLogger("lmidiff").warning("table: %s", hole)
    write_table1(table, output.csv, output.md, output.tex, params.note)
