"""Compare a network's structures in some rows with those in the true targets."""

import numpy as np
import pandas as pd

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.data.volumes import read_affine, read_array
from lmidiff.evaluation.structures import COLUMNS, measure_structures

with job(snakemake.log):
    params = snakemake.params
    rows = []
    for names, people in zip(params.names, params.files, strict=True):
        for subject, files in people.items():
            found, wanted, mask = (read_array(file) for file in files)
            voxel_ml = abs(np.linalg.det(read_affine(files[-1])[:3, :3])) / 1000
            for cell in measure_structures(found, wanted, mask > 0, params.labels, voxel_ml):
                rows.append((*names, subject, params.seed, *cell))
    text = pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, float_format="%.6f")
    write_text(snakemake.output[0], text)
