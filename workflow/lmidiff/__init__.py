"""Zero-shot medical image translation guided by local mutual information (LMIDiffusion).

The science of the study, free of Snakemake: rules call scripts, scripts call this package.
"""

__version__ = "0.1.0"
