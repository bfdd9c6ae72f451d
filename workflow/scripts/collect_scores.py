"""Gather the scores of every method and source into one tidy CSV."""

from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import collect, read_scores, write_scores

with job(snakemake.log):
    write_scores(collect(map(read_scores, snakemake.input.scores)), snakemake.output[0])
