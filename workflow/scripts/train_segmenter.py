"""Fit K-Means on the brain voxels, or on all voxels, of the target's training images."""

import numpy as np

from lmidiff.common.jobs import job
from lmidiff.common.regions import HEAD
from lmidiff.data.volumes import read_array
from lmidiff.evaluation.segmentation import fit_kmeans

with job(snakemake.log):
    params = snakemake.params
    parts = []
    for image, mask in zip(snakemake.input.target, snakemake.input.masks, strict=True):
        values = read_array(image)
        parts.append(values.ravel() if params.field == HEAD else values[read_array(mask) > 0])
    names = ("clusters", "seed", "modality", "field", "images")
    settings = {name: params[name] for name in names}
    fit_kmeans(np.concatenate(parts), **settings).save(snakemake.output[0])
