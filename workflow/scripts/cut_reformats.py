"""Keep reformats of one subject's volumes, and measure every volume's flicker."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.through_plane import COLUMNS, cut_reformats, flicker_of

with job(snakemake.log):
    params, output, rows = snakemake.params, snakemake.output, []
    for name, subjects in params.files.items():
        method, source = name.split()
        rows += flicker_of(source, method, subjects)
    flicker = pd.DataFrame(rows, columns=COLUMNS).round(6)
    write_text(output.flicker, flicker.to_csv(index=False))
    cut_reformats(params.reformats, params.subject, output.pictures)
