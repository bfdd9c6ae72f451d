"""Simulate the sources of a person whose target is real, from labels on its grid."""

from lmidiff.common.jobs import job
from lmidiff.common.settings import settings_of
from lmidiff.data.nifti import write_nifti
from lmidiff.data.real_target import simulate_sources
from lmidiff.data.simulate import SimulationSettings
from lmidiff.data.volumes import read_volume

with job(snakemake.log):
    params, person = snakemake.params, snakemake.wildcards.subject
    settings = settings_of(SimulationSettings, params.settings, "data.cohorts.simulation")
    labels = read_volume(params.labels, subject=person, role="labels")
    made = simulate_sources(labels, params.sources, params.seed, person, settings=settings)
    for name, path in zip(params.sources, snakemake.output.sources, strict=True):
        write_nifti(path, made[name], labels.affine)
