"""Run a benchmark: its table, its figure, and what it was measured with."""

from importlib import import_module

from lmidiff.benchmarks import charts
from lmidiff.benchmarks.measure import load_config, load_settings
from lmidiff.common.devices import pick_device, set_up
from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.records.provenance import origin

with job(snakemake.log):
    params, given, output = snakemake.params, snakemake.input, snakemake.output
    name = snakemake.wildcards.benchmark
    set_up(params.threads)
    settings = load_settings(given.settings)[name]
    configs = load_config(given.default), load_config(given.default, given.paper)
    benchmark = import_module(f"lmidiff.benchmarks.{name}").benchmark
    table = benchmark(settings, pick_device(params.device), *configs)
    write_text(output.csv, table.to_csv(index=False))
    getattr(charts, f"figure_{name}")(table, output.png, output.pdf)
    write_json(output.origin, origin(given))
