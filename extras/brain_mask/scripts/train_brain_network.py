"""Train the mask network; the file that the project ships is the output of this."""

from pathlib import Path

from brain_mask.training import train_brain_network
from lmidiff.common.devices import set_up
from lmidiff.common.jobs import job

with job(snakemake.log):
    set_up(1)
    given = snakemake.input
    real = {"scans": given.scans, "scan_labels": given.labels}
    train_brain_network(given.maps, Path(snakemake.output.weights), **real)
