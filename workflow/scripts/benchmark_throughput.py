"""Time training and sampling steps by batch size, precision and memory layout."""

from lmidiff.benchmarks.figures import figure_throughput
from lmidiff.benchmarks.measure import load_config, load_settings
from lmidiff.benchmarks.throughput import benchmark
from lmidiff.common.devices import set_up
from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.records.provenance import origin

with job(snakemake.log):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    set_up(params.threads)
    settings = load_settings(given.settings)["throughput"]
    table = benchmark(load_config(given.default), settings, ("cpu", "cuda"))
    write_text(output.csv, table.to_csv(index=False))
    figure_throughput(table, output.png, output.pdf)
    write_json(output.origin, origin(snakemake.input))
