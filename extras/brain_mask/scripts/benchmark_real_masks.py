"""Measure the masks of real scans."""

from pathlib import Path

from brain_mask.masks import write_comparison
from brain_mask.mindgrab import MindGrab
from brain_mask.real_masks import compare_real, summarise_real
from lmidiff.common.devices import set_up
from lmidiff.common.files import write_json
from lmidiff.common.jobs import job
from lmidiff.data.brain import find_brain
from lmidiff.records.provenance import origin

with job(snakemake.log):
    set_up(1)
    given = snakemake.input
    finders = {"lmidiff": find_brain}
    if strangers := given.get("mindgrab"):
        finders["mindgrab"] = MindGrab(Path(strangers[0]).parent).find
    table = compare_real(
        list(zip(given.alone, given.alone_labels, strict=True)),
        list(zip(given.flair, given.t1w, given.labels, strict=True)),
        finders,
    )
    write_comparison(table, snakemake.output.csv)
    write_comparison(summarise_real(table), snakemake.output.summary)
    write_json(snakemake.output.origin, origin(given))
