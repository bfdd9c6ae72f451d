"""Time the LMI estimators, and measure their memory."""

from lmidiff.benchmarks.figures import figure_lmi
from lmidiff.benchmarks.lmi import benchmark
from lmidiff.benchmarks.measure import load_settings
from lmidiff.common.devices import pick_device, set_up
from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.records.provenance import origin

with job(snakemake.log):
    params, output = snakemake.params, snakemake.output
    set_up(params.threads)
    settings = load_settings(snakemake.input.settings)["lmi"]
    table = benchmark(settings, pick_device(params.device))
    write_text(output.csv, table.to_csv(index=False))
    figure_lmi(table, output.png, output.pdf)
    write_json(output.origin, origin(snakemake.input))
