"""What held: every claim decided, every row against the reference row and against supervision."""

import logging

from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import read_scores
from lmidiff.verdicts.claims import read_claims
from lmidiff.verdicts.comparisons import compare_rows
from lmidiff.verdicts.differences import PairedScores
from lmidiff.verdicts.gap import gap_closed
from lmidiff.verdicts.rule import judge
from lmidiff.verdicts.text import write_frame

with job(snakemake.log):
    given, made, params = snakemake.input, snakemake.output, snakemake.params
    scores = PairedScores(read_scores(given.metrics), read_scores(given.slices), params.subjects)
    claims, rows = read_claims(given.claims), (params.labels, params.sources)
    verdicts, parts = judge(scores, claims, params.sources, once=params.once, seed=params.seed)
    comparisons = compare_rows(scores, *rows, claims.reference, seed=params.seed)
    if comparisons.empty:
        text = "comparisons: none of %s is a row of this study, so nothing is compared"
        logging.getLogger("lmidiff").warning(text, ", ".join(claims.reference))
    write_frame(verdicts, made.verdicts)
    write_frame(parts, made.parts)
    write_frame(comparisons, made.comparisons)
    write_frame(gap_closed(scores, *rows, seed=params.seed), made.gap)
