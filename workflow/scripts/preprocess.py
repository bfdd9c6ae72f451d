"""Bring aligned scans to the study grid and to 0..1."""

from pathlib import Path

from lmidiff.common.jobs import job
from lmidiff.common.progress import track
from lmidiff.common.settings import settings_of
from lmidiff.data.grid import Grid
from lmidiff.data.preprocess import preprocess_subject, write_preprocessed
from lmidiff.data.quality import refuse_flagged
from lmidiff.data.volumes import read_volume

with job(snakemake.log):
    params = snakemake.params
    refuse_flagged(params.get("judgements", {}), params.get("flagged", "stop"))
    grid = settings_of(Grid, params.grid, "data.grid")
    folders = {Path(file).name.split("_")[0]: Path(file).parent for file in snakemake.output.files}
    for subject, scans in track(params.scans.items(), "preprocess"):
        volumes = {
            name: read_volume(path, subject=subject, role=name, flat=name in ("mask", "lesions"))
            for name, path in scans.items()
        }
        labels, mask, lesions = (volumes.pop(n, None) for n in ("labels", "mask", "lesions"))
        settings = {
            "percentile": params.percentile,
            "field": params.field,
            "every": params.every[subject],
        }
        ready = preprocess_subject(volumes, labels, mask, grid, lesions=lesions, **settings)
        write_preprocessed(ready, folders[subject], subject)
