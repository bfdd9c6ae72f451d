"""Draw the paper's Figure 2: images, close-ups and K-Means labels of every method."""

from lmidiff.figure_grid import figure2
from lmidiff.jobs import job
from lmidiff.panels import read_panels

with job(snakemake.log):
    params, output = snakemake.params, snakemake.output
    panels = read_panels(params.panels, params.settings, params.pixel_size)
    methods = {key: label for key, label in params.labels.items() if key in panels[0].images}
    figure2(panels, methods, output.png, output.pdf, target_label=params.target)
