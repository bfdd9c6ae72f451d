"""Write one result as a page whose table sorts."""

import pandas as pd

from lmidiff.common.jobs import job
from lmidiff.evaluation.scores import read_scores
from lmidiff.report.sortable import subjects_frame, table1_frame, verdicts_frame, write_sortable

with job(snakemake.log):
    params, path = snakemake.params, snakemake.input.csv
    if params.page == "subjects":
        frame = subjects_frame(read_scores(path), params.labels)
    else:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if params.page == "table1":
        frame = table1_frame(frame)
    elif params.page == "verdicts":
        frame = verdicts_frame(frame)
    write_sortable(frame, snakemake.output[0], title=params.title, note=params.note)
