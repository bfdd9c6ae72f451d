"""Draw the LMI's maps on a slice of a real scan."""

from lmidiff.benchmarks.own_scans import crops
from lmidiff.common.files import write_json
from lmidiff.common.jobs import job
from lmidiff.data.preprocess import normalise
from lmidiff.data.volumes import read_volume
from lmidiff.figures.maps import figure_maps
from lmidiff.records.provenance import origin

with job(snakemake.log):
    params, made = snakemake.params, snakemake.output
    source, target = (read_volume(path) for path in (params.source, params.target))
    brain = (source.data > 0) & (target.data > 0)
    images = {"source": normalise(source.data, brain), "target": normalise(target.data, brain)}
    slices = crops(images)
    pixel = float(source.voxel_mm[0])
    figure_maps(slices["source"], slices["target"], params.titles, pixel, made.png, made.pdf)
    write_json(made.origin, origin(snakemake.input))
