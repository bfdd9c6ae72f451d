"""Train the first mask network; the file that the project ships is the output of this."""

from pathlib import Path

from brain_mask.training import train_brain_network
from lmidiff.common.devices import set_up
from lmidiff.common.jobs import job

with job(snakemake.log):
    set_up(1)
    train_brain_network(snakemake.input.maps, Path(snakemake.output.weights))
