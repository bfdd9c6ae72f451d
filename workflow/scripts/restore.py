"""Copy a recorded run's files to where the study's rules look for them."""

from lmidiff.common.jobs import job
from lmidiff.records.replay import restore

with job(snakemake.log):
    restore(snakemake.params.record, snakemake.params.files, snakemake.params.exclude)
