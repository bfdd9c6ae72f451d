"""Draw what each row of an ablation is worth."""

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.evaluation.ablation import compare_rows
from lmidiff.evaluation.scores import read_scores
from lmidiff.figures.bars import figure_bars

with job(snakemake.log):
    params, output = snakemake.params, snakemake.output
    about = (params.labels, params.sources)
    metrics = read_scores(snakemake.input.metrics)
    table = compare_rows(metrics, *about, params.seed, params.reference)
    figure_bars(table, *about, params.reference, output.png, output.pdf)
    write_text(output.csv, table.to_csv(index=False))
