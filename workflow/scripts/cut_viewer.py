"""Keep the volumes of one test person that the report's viewer shows."""

from lmidiff.common.jobs import job
from lmidiff.report.viewer import keep_volumes, volume_of

with job(snakemake.log):
    volumes = [volume_of(**shown) for shown in snakemake.params.shown]
    keep_volumes(snakemake.output[0], volumes)
