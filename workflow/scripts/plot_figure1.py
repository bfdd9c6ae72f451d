"""Draw Figure 1: trajectories with and without guidance, and the LMI maps along the way."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.figures.figure1 import figure1

with job(snakemake.log):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    points = pd.read_csv(given.points)
    labels = {"source_label": params.source, "target_label": params.target}
    figure1(points, given.pictures, output.png, output.pdf, **labels)
    write_text(output.csv, points.to_csv(index=False))
