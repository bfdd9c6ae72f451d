"""Train the mask network; the file that the project ships is the output of this."""

from pathlib import Path

from lmidiff.brain_training import train_brain_network
from lmidiff.devices import set_up
from lmidiff.jobs import job

with job(snakemake.log):
    set_up(1)
    train_brain_network(snakemake.input.maps, Path(snakemake.output.weights))
