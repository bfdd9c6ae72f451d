"""Train one model on the files of its declared roles."""

from pathlib import Path

from lmidiff.common.devices import describe, pick_devices, set_up
from lmidiff.common.jobs import job
from lmidiff.data.training_data import ROLES, TrainingData
from lmidiff.models.launch import train_model
from lmidiff.models.weights import publish, state_folder, write_curve
from lmidiff.training.previews import write_previews

with job(snakemake.log):
    params, name = snakemake.params, snakemake.wildcards.model
    settings = params.settings
    set_up(params.threads)
    devices = pick_devices(params.device, params.processes, snakemake.resources.get("gpu", 0))
    handed = {role: snakemake.input.get(role, []) for role in ROLES}
    data = TrainingData(handed, frozenset(params.needs))
    output = Path(snakemake.output.weights)
    state = state_folder(Path(params.state), settings, data, snakemake.input.code)
    weights, curve = train_model(settings, data, state, devices, name, params.threads)
    write_curve(curve, snakemake.output.curve)
    write_previews(state, snakemake.output.previews)
    made = {"device": describe(devices[0]), "data": data.digest(), "images": params.images}
    publish(output, weights, {**settings, **made})
