"""Time whole translations: the default setting against the authors'."""

from lmidiff.benchmarks.end_to_end import benchmark
from lmidiff.benchmarks.figures import figure_end_to_end
from lmidiff.benchmarks.measure import load_config, load_settings
from lmidiff.common.devices import pick_device, set_up
from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.records.provenance import origin

with job(snakemake.log):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    set_up(params.threads)
    settings = load_settings(given.settings)["end_to_end"]
    default, paper = load_config(given.default), load_config(given.default, given.paper)
    table = benchmark(default, paper, settings, pick_device(params.device))
    write_text(output.csv, table.to_csv(index=False))
    figure_end_to_end(table, output.png, output.pdf)
    write_json(output.origin, origin(snakemake.input))
