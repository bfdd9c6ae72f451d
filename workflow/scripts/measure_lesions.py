"""Measure what a method makes of the marked lesions of every test subject."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.data.volumes import read_array
from lmidiff.evaluation.lesions import COLUMNS, measure_lesions

with job(snakemake.log):
    params = snakemake.params
    rows = []
    for subject, files in params.subjects.items():
        image, target = (read_array(files[name]) for name in ("image", "target"))
        found, truth, lesions = (read_array(files[n]) for n in ("labels", "truth", "lesions"))
        measured = measure_lesions(image, target, found, truth, lesions > 0)
        rows.append({**params.names, "subject": subject, **measured})
    frame = pd.DataFrame(rows, columns=COLUMNS)
    write_text(snakemake.output[0], frame.to_csv(index=False, float_format="%.6f"))
