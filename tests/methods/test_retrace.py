"""How far off a translation may be: by closed forms, for methods that are known."""

import pytest
import torch

from lmidiff.images.contrast import ContrastSettings
from lmidiff.images.recontrast import in_another_contrast
from lmidiff.methods.base import Method, Translation
from lmidiff.methods.retrace import CONTRASTS, retracing_error

IDS = [("sub-01", z) for z in range(3)]
CONTRAST = ContrastSettings()


class Answer(Method):
    """Gives what a function makes of what it is shown."""

    def __init__(self, function, seed=1):
        super().__init__(None, None, seed, "answer")
        self.function, self.shown = function, []

    def translate(self, source, ids):  # noqa: ARG002
        self.shown.append(source)
        return Translation(self.function(source))


@pytest.fixture
def brain() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(3, 1, 32, 32)
    image[:, :, 6:26, 6:26] = 0.2 + 0.7 * torch.rand(3, 1, 20, 20, generator=generator)
    return image


def test_a_method_that_always_finds_it_again_knows_no_doubt(brain):
    assert not retracing_error(Answer(lambda _: brain), brain, IDS, CONTRAST).any()


def test_it_is_the_mean_distance_to_what_is_found_again(brain):
    found = (0.3 + torch.zeros_like(brain)).where(brain > 0, torch.tensor(0.9))
    error = retracing_error(Answer(lambda _: found), brain, IDS, CONTRAST)
    torch.testing.assert_close(error, (brain - 0.3).abs().where(brain > 0, torch.tensor(0.0)))


def test_a_copy_of_the_source_is_as_far_off_as_the_contrasts_are(brain):
    method = Answer(lambda y: y)
    error = retracing_error(method, brain, IDS, CONTRAST)
    assert len(method.shown) == CONTRASTS
    wanted = torch.stack([(y - brain).abs() for y in method.shown]).mean(0)
    torch.testing.assert_close(error, wanted)
    assert error[brain > 0].mean() > 0.05


def test_contrasts_are_those_of_the_seed_and_the_person(brain):
    def shown(seed, subject):
        method = Answer(lambda y: y, seed)
        retracing_error(method, brain, [(subject, z) for z in range(3)], CONTRAST)
        return torch.stack(method.shown)

    assert torch.equal(shown(1, "sub-01"), shown(1, "sub-01"))
    assert not torch.equal(shown(1, "sub-01"), shown(2, "sub-01"))
    assert not torch.equal(shown(1, "sub-01"), shown(1, "sub-02"))


def test_a_person_is_in_one_contrast(brain):
    plain = ContrastSettings(noise=0, texture=0, field=0, mixtures=0)
    same = brain[:1].expand(3, -1, -1, -1).contiguous()
    shown = in_another_contrast(same, torch.Generator().manual_seed(3), plain)
    torch.testing.assert_close(shown[0], shown[1])
    torch.testing.assert_close(shown[0], shown[2])
    assert torch.equal(shown > 0, same > 0)
