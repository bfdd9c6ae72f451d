"""Measure every preprocessed volume, and keep slices of the first and of the oddest subjects."""

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.data_quality import check_volumes, cut_examples, odd_ones

with job(snakemake.log):
    params, output = snakemake.params, snakemake.output
    quality = check_volumes(params.volumes, params.splits, params.target, params.mask)
    write_text(output.csv, quality.to_csv(index=False))
    first = {s: next(n for n in params.splits if params.splits[n] == s) for s in params.shown}
    shown = {f"first of {split}": [subject] for split, subject in first.items()}
    shown["furthest from the rest"] = odd_ones(quality, 3)
    images = {
        subject: {name: file for name, file in files.items() if name != params.mask}
        for subject, files in params.volumes.items()
    }
    cut_examples(images, shown, output.pictures)
