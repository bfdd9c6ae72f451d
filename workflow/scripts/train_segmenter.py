"""Fit K-Means on the brain voxels of the target's training images."""

import numpy as np

from lmidiff.common.jobs import job
from lmidiff.data.volumes import read_array
from lmidiff.evaluation.segmentation import fit_kmeans

with job(snakemake.log):
    pairs = zip(snakemake.input.target, snakemake.input.masks, strict=True)
    values = np.concatenate([read_array(image)[read_array(mask) > 0] for image, mask in pairs])
    params = snakemake.params
    settings = {"clusters": params.clusters, "seed": params.seed, "modality": params.modality}
    fit_kmeans(values, **settings).save(snakemake.output[0])
