"""Plan the study and an empty workflow in turns, and write what each cost."""

from pathlib import Path

from lmidiff.benchmarks.measure import load_settings
from lmidiff.benchmarks.overhead import plans
from lmidiff.common.files import write_text
from lmidiff.common.jobs import job

with job(snakemake.log):
    rounds = load_settings(snakemake.input.settings)["overhead"]["rounds"]
    for how, table in plans(Path.cwd(), rounds).items():
        write_text(snakemake.output[how], table.to_csv(index=False))
