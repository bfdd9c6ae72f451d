"""Copy a recorded run's files to where the study's rules look for them."""

from lmidiff.records.replay import restore
from lmidiff.running.jobs import job

with job(snakemake.log):
    restore(snakemake.params.record, snakemake.params.files)
