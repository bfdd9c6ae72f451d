"""CycleGAN (Zhu et al., ICCV 2017, arXiv 1703.10593): one pass through the trained generator.

Two rows from the same networks. The losses, their equations and the departures from the paper
stand in :mod:`lmidiff.models.cyclegan`, which trains them. Translating draws nothing.
"""

from torch import Tensor

from lmidiff.images.intensities import by_subject
from lmidiff.methods.base import Method, SliceId, Translation
from lmidiff.models.checks import check_size


class CycleGAN(Method):
    """The generator that was trained on target and this source, on slices of different people.

    It is not zero-shot: each source modality needs a training of its own.
    """

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:  # noqa: ARG002
        """G(source), (N, 1, H, W) in 0..1; raises StudyError for a size it cannot take."""
        check_size(source, self.model.multiple)
        return Translation(self.model(source))


class CycleGANUnseen(CycleGAN):
    """The generator that was trained on target and *another* modality, given this source.

    What a GAN has to offer in the paper's zero-shot setting: training saw the target and some
    other contrast, and the modality of the test was not among them. It has no training of its own.
    The network knows brains of the mean and the spread of the modality it was trained on, so the
    volume at hand is brought to those, as instance normalisation would have it.
    """

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """G(source), standardised by the mean and spread of each subject's own brain."""
        check_size(source, self.model.multiple)
        subjects = [subject for subject, _ in ids]
        return Translation(by_subject(self._translate, subjects, source))

    def _translate(self, source: Tensor) -> Tensor:
        with self.model.own_intensities(source):
            return self.model(source)
