"""Draw the scores of every method."""

from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import read_scores
from lmidiff.evaluation.tables import MethodInfo
from lmidiff.figures.scores import figure_scores

with job(snakemake.log):
    output = snakemake.output
    methods = [MethodInfo(**row) for row in snakemake.params.methods]
    figure_scores(read_scores(snakemake.input.metrics), methods, output.png, output.pdf, output.csv)
