"""Train one model on the files of its declared roles."""

from pathlib import Path

from lmidiff.data.training_data import ROLES, TrainingData
from lmidiff.devices import describe, pick_device, set_up
from lmidiff.jobs import job
from lmidiff.models import family_of
from lmidiff.models.weights import publish, state_folder, write_curve

with job(snakemake.log):
    params, name = snakemake.params, snakemake.wildcards.model
    set_up(params.threads)
    device = pick_device(params.device)
    handed = {role: snakemake.input.get(role, []) for role in ROLES}
    data = TrainingData(handed, frozenset(params.needs))
    output = Path(snakemake.output.weights)
    state = state_folder(Path(params.state), params.settings, data, snakemake.input.code)
    family = family_of(params.settings["family"])
    weights, curve = family.fit(params.settings, data, state, device, name)
    write_curve(curve, snakemake.output.curve)
    made = {"device": describe(device), "data": data.digest(), "images": params.images}
    publish(output, weights, {**params.settings, **made})
