"""Translate a shard of test subjects with one method from one source modality."""

import json
from pathlib import Path

from lmidiff.common.devices import pick_device, set_up
from lmidiff.common.jobs import job
from lmidiff.methods.build import build_method
from lmidiff.methods.translation import translate_volumes

with job(snakemake.log):
    params, given, names = snakemake.params, snakemake.input, snakemake.wildcards
    set_up(params.threads)
    device = pick_device(params.device, snakemake.resources.get("gpu", 0))
    tuned = [json.loads(Path(file).read_text()) for file in given.tuned]
    method = build_method(params.method, dict(*tuned), given.weights, params.seed, device)
    translate_volumes(
        method,
        given.source,
        Path(snakemake.output[0]),
        target=params.target,
        batch_size=params.batch_size,
        device=device,
        what=f"{names.method} from {names.source}, shard {names.shard}",
        answers=given.answers,
    )
