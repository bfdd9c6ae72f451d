"""Take over one trained model."""

import shutil
from pathlib import Path

from lmidiff.common.files import atomic
from lmidiff.common.jobs import job
from lmidiff.records.checkpoints import take_model

with job(snakemake.log):
    given, output = snakemake.input, snakemake.output
    take_model(Path(given.weights), snakemake.params.settings, Path(output.weights))
    with atomic(output.curve) as temporary:
        shutil.copyfile(given.curve, temporary)
