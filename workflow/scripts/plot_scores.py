"""Draw the scores of every method."""

from lmidiff.figures import figure_scores
from lmidiff.jobs import job
from lmidiff.scores import read_scores
from lmidiff.tables import MethodInfo

with job(snakemake.log):
    output = snakemake.output
    methods = [MethodInfo(**row) for row in snakemake.params.methods]
    figure_scores(read_scores(snakemake.input.metrics), methods, output.png, output.pdf, output.csv)
