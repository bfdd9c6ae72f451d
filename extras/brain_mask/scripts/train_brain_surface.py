"""Train the second mask network; the file that the project ships is the output of this."""

from pathlib import Path

from brain_mask.surface_training import train_brain_surface
from lmidiff.common.devices import set_up
from lmidiff.common.jobs import job

with job(snakemake.log):
    set_up(snakemake.threads)
    given = snakemake.input
    scans = list(zip(given.scans, given.labels, strict=True))
    train_brain_surface(list(given.maps), scans, Path(snakemake.output.weights))
