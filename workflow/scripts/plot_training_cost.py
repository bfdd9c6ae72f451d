"""Draw quality against the cost of training."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import read_scores
from lmidiff.evaluation.tables import MethodInfo
from lmidiff.evaluation.training_cost import quality_and_cost
from lmidiff.figures.cost import figure_training_cost, kind_of

with job(snakemake.log):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    methods = [MethodInfo(**row) for row in params.methods]
    labels, kinds = {m.key: m.label for m in methods}, {m.key: kind_of(m) for m in methods}
    metrics, costs = read_scores(given.metrics), pd.read_csv(given.costs)
    about = (params.models, labels, params.sources, params.seed)
    table = quality_and_cost(metrics, costs, *about)
    figure_training_cost(table, kinds, params.sources, output.png, output.pdf)
    write_text(output.csv, table.to_csv(index=False))
