"""Draw the learning curves of every trained model."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.figures.scores import figure_curves

with job(snakemake.log):
    models, output = snakemake.params.models, snakemake.output
    frames = [pd.read_csv(file) for file in snakemake.input.curves]
    curves = pd.concat(frame.assign(model=m) for m, frame in zip(models, frames, strict=True))
    write_text(output.csv, curves.to_csv(index=False))
    figure_curves(curves, {model: model for model in models}, output.png, output.pdf)
