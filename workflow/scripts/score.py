"""Score every test subject of a method and source."""

import pandas as pd

from lmidiff.common.jobs import job
from lmidiff.data.volumes import read_array
from lmidiff.evaluation.metrics import score_subject
from lmidiff.evaluation.scores import frames_of, write_scores
from lmidiff.evaluation.segmentation import KMeansModel, segment

with job(snakemake.log):
    params, names = snakemake.params, snakemake.wildcards
    model = KMeansModel.load(snakemake.input.model[0])
    frames = []
    for subject, files in params.subjects.items():
        arrays = {name: read_array(path) for name, path in files.items()}
        mask = arrays["mask"] > 0
        scores = score_subject(
            *(arrays["image"], arrays["target"], mask, arrays["labels"]),
            *(segment(model, arrays["target"], mask), arrays.get("truth")),
            subject=subject,
            field=model.field,
        )
        keys = {"method": params.row, "source": names.source, "target": params.target}
        keys |= {"study": params.study, "seed": params.seed, "subject": subject}
        frames.append(frames_of(scores, **keys))
    metrics, slices = (pd.concat(parts) for parts in zip(*frames, strict=True))
    write_scores(metrics, snakemake.output.metrics)
    write_scores(slices, snakemake.output.slices)
