"""Write Table 1 in four formats."""

from lmidiff.jobs import job
from lmidiff.scores import read_scores
from lmidiff.table_writers import write_table1
from lmidiff.tables import MethodInfo, read_published, table1

with job(snakemake.log):
    params, output = snakemake.params, snakemake.output
    table = table1(
        read_scores(snakemake.input.metrics),
        [MethodInfo(**row) for row in params.methods],
        read_published(snakemake.input.published),
        sources=params.sources,
        seed=params.seed,
    )
    write_table1(table, output.csv, output.md, output.tex, output.html)
