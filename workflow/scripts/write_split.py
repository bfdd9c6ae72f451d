"""Write which subject is in which split, fold by fold if there are several."""

import pandas as pd

from lmidiff.common.jobs import job
from lmidiff.data.splits import write_folds

with job(snakemake.log):
    columns = ["subject", "split", "cohort"]
    tables = [pd.DataFrame(members, columns=columns) for members in snakemake.params.folds]
    write_folds(tables, snakemake.output[0])
