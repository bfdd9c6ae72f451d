"""Write which subject is in which split."""

import pandas as pd

from lmidiff.data.splits import write_split
from lmidiff.running.jobs import job

with job(snakemake.log):
    table = pd.DataFrame(snakemake.params.members, columns=["subject", "split", "cohort"])
    write_split(table, snakemake.output[0])
