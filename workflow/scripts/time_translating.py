"""Time ``lmidiff translate`` on a head at several voxel sizes."""

from lmidiff.benchmarks.measure import load_settings
from lmidiff.benchmarks.translating import benchmark
from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.records.provenance import origin

with job(snakemake.log):
    settings = load_settings(snakemake.input.settings)["translating"]
    table = benchmark(settings, snakemake.params.scan)
    write_text(snakemake.output.csv, table.to_csv(index=False, float_format="%.4g"))
    write_json(snakemake.output.origin, origin(snakemake.input))
