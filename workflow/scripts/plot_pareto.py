"""Draw quality against network evaluations."""

import pandas as pd

from lmidiff.benchmarks.charts import figure_pareto
from lmidiff.benchmarks.pareto import SHOWN, pareto_table
from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import read_scores

with job(snakemake.log):
    params, output = snakemake.params, snakemake.output
    seconds = {}
    for key, files in params.costs:
        seconds[tuple(key)] = sum(pd.read_csv(file, sep="\t")["s"].sum() for file in files)
    table = pareto_table(
        read_scores(snakemake.input.metrics),
        params.samplers,
        params.labels,
        seconds,
        params.slices,
        params.seed,
    )
    write_text(output.csv, table.to_csv(index=False))
    quantities = [(quantity.key, f"{quantity.title} (higher is better)") for quantity in SHOWN]
    figure_pareto(table, quantities, output.png, output.pdf)
