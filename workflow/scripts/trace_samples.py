"""Follow two samplers from the same noise, and keep what Figure 1 is drawn from."""

from lmidiff.common.devices import pick_device, set_up
from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.pictures import write_pictures
from lmidiff.methods.trajectories import GUIDED, UNGUIDED, trace

with job(snakemake.log):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    set_up(params.threads)
    device = pick_device(params.device, snakemake.resources.get("gpu", 0))
    points, pictures, index = trace(
        params.models,
        {GUIDED: given.guided, UNGUIDED: given.unguided},
        {"source": given.source, "target": given.target},
        params.settings,
        params.seed,
        device,
    )
    write_text(output.points, points.to_csv(index=False))
    write_pictures(output.pictures, pictures, index)
