"""Choose a method's settings on target images of validation subjects."""

from lmidiff.common.devices import pick_device, set_up
from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.common.settings import settings_of
from lmidiff.images.contrast import ContrastSettings
from lmidiff.methods.build import build_method
from lmidiff.methods.tuning import tune

with job(snakemake.log):
    params, given = snakemake.params, snakemake.input
    set_up(params.threads)
    device = pick_device(params.device, snakemake.resources.get("gpu", 0))
    table, chosen = tune(
        lambda settings: build_method(params.method, settings, given.weights, params.seed, device),
        params.grid,
        given.target,
        given.masks,
        settings_of(ContrastSettings, params.contrast, "model_defaults.contrast"),
        seed=params.seed,
        batch_size=params.batch_size,
        device=device,
        what=f"tune {snakemake.wildcards.method}",
    )
    write_text(snakemake.output.table, table.to_csv(index=False))
    write_json(snakemake.output.chosen, chosen)
