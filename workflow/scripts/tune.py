"""Choose a method's settings on validation subjects."""

from lmidiff.common.devices import pick_device, set_up
from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.methods.build import build_method
from lmidiff.methods.tuning import tune

with job(snakemake.log):
    params, given = snakemake.params, snakemake.input
    set_up(params.threads)
    device = pick_device(params.device, snakemake.resources.get("gpu", 0))
    table, chosen = tune(
        lambda settings: build_method(params.method, settings, given.weights, params.seed, device),
        params.grid,
        *(given.source, given.target, given.masks),
        *(params.batch_size, device, f"tune {snakemake.wildcards.method}"),
    )
    write_text(snakemake.output.table, table.to_csv(index=False))
    write_json(snakemake.output.chosen, chosen)
