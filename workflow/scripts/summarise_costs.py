"""Sum what the jobs of a study cost."""

from pathlib import Path

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.costs import summarise_costs

with job(snakemake.log):
    costs = summarise_costs(Path(snakemake.params.benchmarks))
    write_text(snakemake.output[0], costs.to_csv(index=False))
