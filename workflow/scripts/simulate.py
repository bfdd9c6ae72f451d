"""Simulate every scan of a generated cohort."""

from pathlib import Path

from lmidiff.common.jobs import job
from lmidiff.common.progress import track
from lmidiff.common.settings import settings_of
from lmidiff.data.anatomy import icbm_anatomy, label_map_anatomy
from lmidiff.data.grid import Grid
from lmidiff.data.simulate import SimulationSettings, simulate_subject, write_subject

with job(snakemake.log):
    params = snakemake.params
    grid = settings_of(Grid, params.grid, "data.grid")
    settings = settings_of(SimulationSettings, params.settings, "data.cohorts.simulation")
    folders = {Path(file).name.split("_")[0]: Path(file).parent for file in snakemake.output.files}
    subjects = track(params.subjects.items(), "simulate")
    for subject, label_map in subjects:
        seeds = (params.seed, subject)
        options = settings.of_anatomy(*seeds)
        if label_map:
            anatomy = label_map_anatomy(label_map, grid, params.field, **options)
        else:
            anatomy = icbm_anatomy(grid, *seeds, **options)
        scans = simulate_subject(anatomy, params.modalities, *seeds, settings=settings)
        write_subject(scans, folders[subject], subject)
