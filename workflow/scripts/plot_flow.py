"""Draw the study's data flow."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.figures.flow import COLUMNS, figure_flow

with job(snakemake.log):
    params, output = snakemake.params, snakemake.output
    edges = [tuple(edge) for edge in params.edges]
    figure_flow(edges, params.labels, params.target, output.png, output.pdf)
    write_text(output.csv, pd.DataFrame(edges, columns=list(COLUMNS)).to_csv(index=False))
