"""Average what was measured of every row over people and trainings, and draw it."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.lesions import lesions_table
from lmidiff.evaluation.structures import structures_table
from lmidiff.evaluation.tissue_volumes import volumes_table
from lmidiff.figures.lesions import figure_lesions
from lmidiff.figures.structures import figure_structures
from lmidiff.figures.tissue_volumes import figure_tissue_volumes

KINDS = {
    "lesions": (lesions_table, figure_lesions),
    "volumes": (volumes_table, figure_tissue_volumes),
    "structures": (structures_table, figure_structures),
}

with job(snakemake.log):
    params, made = snakemake.params, snakemake.output
    table_of, figure = KINDS[params.kind]
    measured = pd.read_csv(snakemake.input.measured)
    table = table_of(measured, params.labels, params.sources, seed=params.seed)
    write_text(made.csv, table.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    figure(table, params.sources, made.png, made.pdf, **params.looks)
