"""Write one result as a page whose table sorts."""

import pandas as pd

from lmidiff.jobs import job
from lmidiff.sortable import table1_frame, write_sortable

with job(snakemake.log):
    params = snakemake.params
    frame = pd.read_csv(snakemake.input.csv, dtype=str, keep_default_na=False)
    if params.pivot:
        frame = table1_frame(frame)
    write_sortable(frame, snakemake.output[0], title=params.title, note=params.note)
