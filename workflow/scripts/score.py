"""Score every test subject of a method and source."""

import pandas as pd

from lmidiff.common.jobs import job
from lmidiff.data.volumes import read_array
from lmidiff.evaluation.metrics import score_subject
from lmidiff.evaluation.scores import frames_of, write_scores
from lmidiff.evaluation.segmentation import KMeansModel, segment

with job(snakemake.log):
    params = snakemake.params
    model = KMeansModel.load(snakemake.input.model[0])
    frames = []
    for subject, files in params.subjects.items():
        image, target, labels = (read_array(files[key]) for key in ("image", "target", "labels"))
        mask = read_array(files["mask"]) > 0
        scores = score_subject(
            image,
            target,
            mask,
            labels,
            segment(model, target, mask),
            read_array(files["truth"]) if "truth" in files else None,
            subject=subject,
            field=model.field,
        )
        frames.append(frames_of(scores, **params.names, subject=subject))
    metrics, slices = (pd.concat(parts) for parts in zip(*frames, strict=True))
    write_scores(metrics, snakemake.output.metrics)
    write_scores(slices, snakemake.output.slices)
