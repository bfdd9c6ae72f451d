"""Gather what was measured of lesions."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import KEYS

with job(snakemake.log):
    frame = pd.concat([pd.read_csv(file) for file in snakemake.input.measured])
    text = frame.sort_values(KEYS).to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_text(snakemake.output[0], text)
