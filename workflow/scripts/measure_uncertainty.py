"""Compare every map of spread with the error it should foretell."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.uncertainty import CURVE, SUMMARY, measure

with job(snakemake.log):
    rows, points = [], []
    for name, subjects in snakemake.params.files.items():
        method, source = name.split()
        of_row, of_curve = measure(source, method, subjects)
        rows += of_row
        points += of_curve
    summary = pd.DataFrame(rows, columns=SUMMARY).round(6)
    curves = pd.DataFrame(points, columns=CURVE).round(6)
    write_text(snakemake.output.summary, summary.to_csv(index=False))
    write_text(snakemake.output.curves, curves.to_csv(index=False))
