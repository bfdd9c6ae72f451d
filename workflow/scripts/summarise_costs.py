"""Sum what the jobs of a study cost."""

from pathlib import Path

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.costs import summarise_costs

with job(snakemake.log):
    curves = {model: pd.read_csv(file) for model, file in snakemake.params.curves.items()}
    trained = {m: curve["seconds"].max() for m, curve in curves.items() if "seconds" in curve}
    costs = summarise_costs(Path(snakemake.params.benchmarks), trained)
    write_text(snakemake.output[0], costs.to_csv(index=False))
