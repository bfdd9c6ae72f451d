"""FGDM (Li et al., IEEE TMI 2023, arXiv 2304.02742): frequency-guided diffusion, zero-shot.

A target-only diffusion model takes high-pass filtered versions of the image as its condition; at
test time those of the source. The condition is ``guidance.condition: frequency`` of the
diffusion family (:func:`lmidiff.guidance.high_pass`).

Departures: Gaussian high-passes at several cut-offs, in units of their root mean square, and their
magnitude, because a source whose contrast is reversed reverses the sign that the paper keeps (its
source and target, cone-beam CT and CT, share their contrast). Signed maps are a switch.
"""

from lmidiff.methods.lmidiffusion import LMIDiffusion


class FGDM(LMIDiffusion):
    """Sampling from pure noise under the source's high frequencies."""
