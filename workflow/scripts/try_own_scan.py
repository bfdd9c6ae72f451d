"""Translate a real scan as a user would, compare it with the truth, and draw both."""

from pathlib import Path

from lmidiff.benchmarks.own_scans import ROWS, crops, measure, measure_raw
from lmidiff.common.devices import set_up
from lmidiff.common.files import write_json, write_text
from lmidiff.common.jobs import job
from lmidiff.figures.own_scans import figure_own_scan
from lmidiff.records.provenance import origin

with job(snakemake.log):
    params, made = snakemake.params, snakemake.output
    set_up(params.threads)
    measured = measure_raw if params.raw else measure
    table, images, voxel = measured(Path(params.network).parent, *params.scans)
    table.insert(0, "scan", snakemake.wildcards.scan)
    write_text(made.csv, table.to_csv(index=False, float_format="%.4g"))
    titles = {"source": "scan", "lmidiff": ROWS["lmidiff"], "target": "true T1w"}
    figure_own_scan(crops(images), titles, float(voxel[0]), made.png, made.pdf)
    write_json(made.origin, origin(snakemake.input))
