"""Say how much of the way from the source to the supervised bound each row goes."""

from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import read_scores
from lmidiff.verdicts.differences import PairedScores
from lmidiff.verdicts.gap import gap_closed
from lmidiff.verdicts.text import write_frame

with job(snakemake.log):
    params, given = snakemake.params, snakemake.input
    scores = PairedScores(read_scores(given.metrics), read_scores(given.slices), params.subjects)
    frame = gap_closed(scores, params.labels, params.sources, seed=params.seed)
    write_frame(frame, snakemake.output[0])
