"""Draw from every unconditional model, compare with held-out slices, show a grid."""

from pathlib import Path

from lmidiff.common.devices import pick_device, set_up
from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.data.slices import load_slices, subject_of
from lmidiff.evaluation.samples import sample_distances
from lmidiff.figures.samples import figure_samples, sample_rows
from lmidiff.methods.unconditional import draw
from lmidiff.models.weights import read_weights

with job(snakemake.log):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    set_up(params.threads)
    device = pick_device(params.device, snakemake.resources.get("gpu", 0))
    training = load_slices(given.training)[0][:, 0].numpy()
    held_out = {subject_of(p): load_slices([p])[0][:, 0].numpy() for p in given.held_out}
    drawn = {}
    for (name, settings), file in zip(params.models.items(), given.weights, strict=True):
        weights, size = read_weights(Path(file)), training.shape[1:]
        options = params.sampling, params.settings["drawn"], size, params.seed, device
        drawn[name] = draw(settings, weights, *options)[:, 0].numpy()
    distances = sample_distances(drawn, training, held_out, params.seed)
    text = distances.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_text(output.csv, text)
    rows = sample_rows(drawn, training, held_out, params.settings["shown"])
    figure_samples(rows, output.png, output.pdf)
