"""Decide the claims on the study's scores."""

from lmidiff.claims import read_claims
from lmidiff.differences import PairedScores
from lmidiff.jobs import job
from lmidiff.scores import read_scores
from lmidiff.verdict_text import write_frame
from lmidiff.verdicts import judge

with job(snakemake.log):
    params, given = snakemake.params, snakemake.input
    scores = PairedScores(read_scores(given.metrics), read_scores(given.slices), params.subjects)
    verdicts, parts = judge(scores, read_claims(given.claims), params.sources, seed=params.seed)
    write_frame(verdicts, snakemake.output.verdicts)
    write_frame(parts, snakemake.output.parts)
