"""Muon against torch's own, against what orthogonal means, and who gets which weights."""

import pytest
import torch
from torch import nn

from lmidiff.networks.unet import UNet, UNetSettings
from lmidiff.training.loop import LossLearner, fit
from lmidiff.training.optimizers import Muon, optimizers_of, orthogonalised
from toys import CPU, settings_of

SMALL = UNetSettings(channels=(8, 16), attention=(False, True), groups=8, head_channels=8)


def drawn(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16), (1, 5), (96, 864)])
def test_an_orthogonalised_matrix_keeps_its_axes_and_loses_its_lengths(shape):
    matrix = drawn(*shape)
    left, lengths, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.mT @ orthogonalised(matrix) @ right.mT
    assert torch.allclose(found, torch.diag(found.diagonal()), atol=1e-4)
    large = lengths > 0.1 * lengths.max()  # five rounds do not lift what is near zero
    assert found.diagonal()[large].min() > 0.6
    assert found.diagonal().max() < 1.3


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_the_scale_of_a_gradient_does_not_matter(scale):
    matrix = drawn(8, 20)
    within = 1e-2 if scale < 1e-6 else 1e-5
    assert torch.allclose(orthogonalised(matrix * scale), orthogonalised(matrix), atol=within)


def test_a_gradient_of_zeros_moves_nothing():
    assert torch.equal(orthogonalised(torch.zeros(4, 6)), torch.zeros(4, 6))


@pytest.mark.parametrize("shape", [(12, 30), (30, 12)])
def test_steps_are_those_of_torch_up_to_its_precision(shape):
    ours, theirs = (nn.Parameter(drawn(*shape)) for _ in range(2))
    optimizers = [
        Muon([ours], lr=0.02),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    ]
    for step in range(6):
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = drawn(*shape, seed=step)
            optimizer.step()
    moved = (ours - drawn(*shape)).norm()
    assert moved > 0.1
    assert (ours - theirs).norm() < 0.02 * moved  # bfloat16 has three digits


def test_a_convolution_is_the_matrix_of_its_outputs():
    kernel, matrix = nn.Parameter(drawn(6, 4, 3, 3)), nn.Parameter(drawn(6, 4, 3, 3).flatten(1))
    kernel.grad = drawn(6, 4, 3, 3, seed=9)
    matrix.grad = kernel.grad.flatten(1)
    Muon([kernel], lr=0.1).step()
    Muon([matrix], lr=0.1).step()
    assert torch.equal(kernel.flatten(1), matrix)


def test_a_vector_is_refused():
    with pytest.raises(ValueError, match="two dimensions"):
        Muon([nn.Parameter(torch.zeros(3))], lr=0.1)


def test_every_weight_has_one_optimizer_and_the_ends_have_adam():
    network = UNet(2, SMALL)
    muon, adam = optimizers_of(network, settings_of(optimizer="muon"))
    by_muon, by_adam = (
        {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        for optimizer in (muon, adam)
    )
    names = {id(weight): name for name, weight in network.named_parameters()}
    assert by_muon | by_adam == set(names)
    assert not by_muon & by_adam
    assert {names[i] for i in by_adam if "conv.weight" in names[i]} == {
        "net.conv_in.conv.weight",
        "net.out.2.conv.weight",
    }
    assert all(network.get_parameter(names[i]).ndim > 1 for i in by_muon)
    (alone,) = optimizers_of(network, settings_of(optimizer="adam"))
    assert sum(len(group["params"]) for group in alone.param_groups) == len(names)


def test_a_network_without_inner_layers_has_adam():
    (alone,) = optimizers_of(nn.Linear(3, 1), settings_of(optimizer="muon"))
    assert isinstance(alone, torch.optim.Adam)


def deep_learner(settings, stop_at=None):
    torch.manual_seed(settings.seed)
    network = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    taken = iter(range(settings.steps))

    def loss(generator):
        x = torch.randn(settings.batch_size, 3, generator=generator)
        if next(taken) == stop_at:
            raise KeyboardInterrupt
        return (network(x) - x.sum(1, keepdim=True)).square().mean()

    return LossLearner(network, loss, settings, CPU)


def test_a_resumed_run_by_muon_ends_in_the_same_bits(tmp_path):
    settings = settings_of(optimizer="muon")
    whole, _ = fit(deep_learner(settings), settings, tmp_path / "whole", "deep")
    with pytest.raises(KeyboardInterrupt):
        fit(deep_learner(settings, stop_at=27), settings, tmp_path / "resumed", "deep")
    resumed, _ = fit(deep_learner(settings), settings, tmp_path / "resumed", "deep")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_network_learns_by_muon(tmp_path):
    settings = settings_of(optimizer="muon", steps=200, batch_size=64, log_every=25)
    _, curve = fit(deep_learner(settings), settings, tmp_path, "deep")
    assert curve.loss.iloc[-1] < 0.05 * curve.loss.iloc[0]
