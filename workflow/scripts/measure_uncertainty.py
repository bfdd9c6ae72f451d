"""Compare every map of spread with the error it should foretell."""

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.uncertainty import frames, measure

with job(snakemake.log):
    measured = []
    for name, subjects in snakemake.params.files.items():
        method, source = name.split()
        measured.append(measure(source, method, subjects))
    summary, curves = frames(measured)
    write_text(snakemake.output.summary, summary.to_csv(index=False))
    write_text(snakemake.output.curves, curves.to_csv(index=False))
