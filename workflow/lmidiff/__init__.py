"""Zero-shot medical image translation guided by local mutual information (LMIDiffusion).

The science of the study, free of Snakemake: rules call scripts, scripts call this package. Its core
needs torch alone::

    from lmidiff import Guidance, GuidedDenoiser, Sampling, Schedule, draw, local_mutual_information
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_CORE = {
    "Guidance": "lmidiff.options",
    "GuidedDenoiser": "lmidiff.sampler",
    "Sampling": "lmidiff.options",
    "Schedule": "lmidiff.diffusion",
    "draw": "lmidiff.sampler",
    "local_mutual_information": "lmidiff.lmi",
}
__all__ = ["Guidance", "GuidedDenoiser", "Sampling", "Schedule", "draw", "local_mutual_information"]


def __getattr__(name: str) -> Any:
    """A name of the core, imported when it is asked for: planning a study needs no torch."""
    if name not in _CORE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_CORE[name]), name)
