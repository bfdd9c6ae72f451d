"""Keep each method's worst test slice, chosen by brain SSIM."""

from lmidiff.common.jobs import job
from lmidiff.evaluation.failures import cut_failures, worst_slices
from lmidiff.evaluation.scores import read_scores

with job(snakemake.log):
    params = snakemake.params
    worst = worst_slices(read_scores(snakemake.input.slices), params.methods)
    cut_failures(worst, params.files, snakemake.output[0])
