"""Draw the scores of every method."""

import pandas as pd

from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import read_scores
from lmidiff.evaluation.tables import MethodInfo
from lmidiff.figures.scores import figure_scores

with job(snakemake.log):
    given, output = snakemake.input, snakemake.output
    methods = [MethodInfo(**row) for row in snakemake.params.methods]
    files = output.png, output.pdf, output.csv
    figure_scores(read_scores(given.metrics), methods, *files, table=pd.read_csv(given.table))
