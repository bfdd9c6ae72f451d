"""Put what was measured on each real scan into one table."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job

with job(snakemake.log):
    frames = [pd.read_csv(path) for path in snakemake.input.tables]
    write_text(snakemake.output[0], pd.concat(frames).to_csv(index=False))
