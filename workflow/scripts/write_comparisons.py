"""Compare every row of the table with the reference row."""

import logging

from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import read_scores
from lmidiff.verdicts.claims import read_claims
from lmidiff.verdicts.comparisons import compare_rows
from lmidiff.verdicts.differences import PairedScores
from lmidiff.verdicts.text import write_frame

with job(snakemake.log):
    params, given = snakemake.params, snakemake.input
    scores = PairedScores(read_scores(given.metrics), read_scores(given.slices), params.subjects)
    reference = read_claims(given.claims).reference
    frame = compare_rows(scores, params.labels, params.sources, reference, seed=params.seed)
    if frame.empty:
        text = "comparisons: none of %s is a row of this study, so nothing is compared"
        logging.getLogger("lmidiff").warning(text, ", ".join(reference))
    write_frame(frame, snakemake.output[0])
