"""Put what was measured on each real scan into one table, and means over people into another."""

import pandas as pd

from lmidiff.benchmarks.own_scans import summary
from lmidiff.common.files import write_text
from lmidiff.common.jobs import job

MEASURES = ["ssim_brain", "dice_white", "dice_grey", "detail", "steps"]
MEASURES += ["vanished", "into_csf", "labelled_wm"]

with job(snakemake.log):
    given, made = snakemake.input, snakemake.output
    scans, people = (pd.concat(map(pd.read_csv, paths)) for paths in (given.tables, given.people))
    write_text(made.scans, scans.to_csv(index=False))
    write_text(made.people, people.to_csv(index=False))
    write_text(made.summary, summary(people, MEASURES).to_csv(index=False))
