"""Measure how much of each tissue every translation shows, and the true target."""

import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.data.volumes import read_affine, read_array
from lmidiff.evaluation.segmentation import KMeansModel
from lmidiff.evaluation.tissue_volumes import COLUMNS, KEYS, Person

with job(snakemake.log):
    params = snakemake.params
    models = {path: KMeansModel.load(path) for path in snakemake.input.models}
    people, rows = {}, []
    for names, model, files_of in params.runs:
        for subject, files in files_of.items():
            if subject not in people:
                known = {name: read_array(files[name]) for name in ("mask", "target")}
                truth = read_array(files["truth"]) if "truth" in files else None
                people[subject] = Person(
                    models[model], **known, truth=truth, affine=read_affine(files["mask"])
                )
            measured = people[subject].measure(read_array(files["labels"]))
            rows += [{**names, "subject": subject, **row} for row in measured]
    frame = pd.DataFrame(rows, columns=COLUMNS).sort_values(KEYS)
    write_text(snakemake.output[0], frame.to_csv(index=False, float_format="%.6f"))
