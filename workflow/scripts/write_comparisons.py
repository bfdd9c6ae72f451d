"""Compare every row of the table with the reference row."""

import logging

from lmidiff.claims import read_claims
from lmidiff.comparisons import compare_rows
from lmidiff.differences import PairedScores
from lmidiff.jobs import job
from lmidiff.scores import read_scores
from lmidiff.verdict_text import write_frame

with job(snakemake.log):
    params, given = snakemake.params, snakemake.input
    scores = PairedScores(read_scores(given.metrics), read_scores(given.slices), params.subjects)
    reference = read_claims(given.claims).reference
    frame = compare_rows(scores, params.labels, params.sources, reference, seed=params.seed)
    if frame.empty:
        text = "comparisons: none of %s is a row of this study, so nothing is compared"
        logging.getLogger("lmidiff").warning(text, ", ".join(reference))
    write_frame(frame, snakemake.output[0])
