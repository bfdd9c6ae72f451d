"""Write which subject is in which split."""

import pandas as pd

from lmidiff.common.jobs import job
from lmidiff.data.splits import write_split

with job(snakemake.log):
    table = pd.DataFrame(snakemake.params.members, columns=["subject", "split", "cohort"])
    write_split(table, snakemake.output[0])
