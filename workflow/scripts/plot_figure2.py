"""Draw the paper's Figure 2: images, close-ups and K-Means labels of every method."""

from lmidiff.common.files import write_text
from lmidiff.common.jobs import job
from lmidiff.figures.figure2 import figure2
from lmidiff.figures.panels import drawn_cells, read_panels

with job(snakemake.log):
    params, output, settings = snakemake.params, snakemake.output, snakemake.params.settings
    panels = read_panels(snakemake.input.pictures, settings)
    methods = {key: label for key, label in params.labels.items() if key in panels[0].images}
    looks = {key: settings[key] for key in ("lines", "columns_per_band") if key in settings}
    looks |= {"target_label": params.target, "field": params.field}
    figure2(panels, methods, output.png, output.pdf, **looks)
    write_text(output.csv, drawn_cells(panels, methods).to_csv(index=False))
