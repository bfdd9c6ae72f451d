"""Compare a network's labels of the translations with its labels of the true targets."""

from pathlib import Path

import pandas as pd

from lmidiff.common.jobs import job
from lmidiff.data.volumes import read_array
from lmidiff.evaluation.network_labels import score_labels
from lmidiff.evaluation.scores import frames_of, write_scores

with job(snakemake.log):
    params, given = snakemake.params, snakemake.input
    frames = []
    for subject, mask in zip(params.subjects, given.masks, strict=True):
        folders = Path(given.found), Path(given.wanted)
        found, wanted = (read_array(folder / f"{subject}_dseg.nii.gz") for folder in folders)
        scores = score_labels(found, wanted, read_array(mask) > 0, params.labels, params.extent)
        frames.append(frames_of(scores, **params.names, subject=subject)[0])
    write_scores(pd.concat(frames), snakemake.output[0])
