"""Sum what the jobs of a study cost."""

from pathlib import Path

from lmidiff.evaluation.costs import summarise_costs
from lmidiff.files import write_text
from lmidiff.running.jobs import job

with job(snakemake.log):
    costs = summarise_costs(Path(snakemake.params.benchmarks))
    write_text(snakemake.output[0], costs.to_csv(index=False))
