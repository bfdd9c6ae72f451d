"""Decide the claims on the study's scores."""

from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import read_scores
from lmidiff.verdicts.claims import read_claims
from lmidiff.verdicts.differences import PairedScores
from lmidiff.verdicts.rule import judge
from lmidiff.verdicts.text import write_frame

with job(snakemake.log):
    params, given = snakemake.params, snakemake.input
    scores = PairedScores(read_scores(given.metrics), read_scores(given.slices), params.subjects)
    verdicts, parts = judge(scores, read_claims(given.claims), params.sources, seed=params.seed)
    write_frame(verdicts, snakemake.output.verdicts)
    write_frame(parts, snakemake.output.parts)
