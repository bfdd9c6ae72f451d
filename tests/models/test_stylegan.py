"""StyleGAN2: its layers and regularisers by their formulas, its training to the bit."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from discs import CPU, SMALL, TRAINING, discs, trained_on_discs
from lmidiff.common.errors import StudyError
from lmidiff.data.nifti import write_nifti
from lmidiff.data.training_data import TrainingData
from lmidiff.diffusion import SliceNoise
from lmidiff.models import FAMILIES, stylegan
from lmidiff.networks.stylegan import (
    Discriminator,
    Generator,
    Linear,
    low_pass,
    minibatch_std,
    modulated_conv,
    shifted,
    upsample,
)
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import fit as train
from lmidiff.training.previews import COUNT

BRIEF = {**TRAINING, "steps": 12}


def normal(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


# --- layers ---------------------------------------------------------------------------------


def per_sample(x, weight, style, demodulate, up):
    """The paper's way: a modulated weight a sample, one grouped convolution (eqs. 1 and 3)."""
    count, inputs, height, width = x.shape
    w = weight[None] * style[:, None, :, None, None]
    if demodulate:
        w = w / (w.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    x = x.reshape(1, count * inputs, height, width)
    if not up:
        w = w.reshape(-1, inputs, *weight.shape[2:])
        out = F.conv2d(x, w, padding=weight.shape[-1] // 2, groups=count)
        return out.view(count, -1, height, width)
    w = w.transpose(1, 2).reshape(count * inputs, -1, *weight.shape[2:])
    out = F.conv_transpose2d(x, w, stride=2, groups=count)
    out = out.view(count, -1, 2 * height + 1, 2 * width + 1)
    return low_pass(out, 1, gain=4.0)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulation_is_a_convolution_with_one_weight_a_sample(demodulate, up):
    x, weight, style = normal(3, 5, 6, 7), normal(4, 5, 3, 3, seed=1), normal(3, 5, seed=2)
    mine = modulated_conv(x, weight, style, demodulate, up)
    torch.testing.assert_close(mine, per_sample(x, weight, style, demodulate, up))


def test_demodulation_gives_unit_variance_whatever_the_style():
    x = normal(2, 16, 64, 64)
    weight, style = (
        normal(8, 16, 3, 3, seed=1),
        torch.stack([normal(16, seed=2), 9 * torch.ones(16)]),
    )
    out = modulated_conv(x, weight, style.double())[:, :, 1:-1, 1:-1]
    assert out.var((2, 3)).sub(1).abs().max() < 0.12  # 62 * 62 correlated values a channel
    assert modulated_conv(x, weight, style.double(), demodulate=False).var() > 50


def test_the_filter_is_the_outer_product_of_1_3_3_1():
    taps = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
    kernel = torch.outer(taps, taps).expand(3, 1, 4, 4)
    x = normal(2, 3, 9, 8)
    expected = F.conv2d(x, kernel, padding=2, groups=3)
    torch.testing.assert_close(low_pass(x, 2), expected)


def test_upsampling_keeps_a_flat_image_flat_and_a_ramp_straight():
    flat = upsample(torch.full((1, 1, 6, 6), 3.0))
    assert flat.shape == (1, 1, 12, 12)
    torch.testing.assert_close(flat[..., 2:-2, 2:-2], torch.full((1, 1, 8, 8), 3.0))
    ramp = torch.arange(6.0).view(1, 1, 6, 1).expand(1, 1, 6, 6)
    inside = upsample(ramp)[0, 0, 2:-2, 5]
    torch.testing.assert_close(inside, torch.arange(8) / 2 + 0.75)  # pixel centres stay in place


@pytest.mark.parametrize(("count", "group", "size"), [(8, 4, 4), (6, 4, 3), (5, 4, 1), (2, 8, 2)])
def test_minibatch_std_by_hand(count, group, size):
    x = normal(count, 3, 4, 5)
    out = minibatch_std(x, group)
    assert out.shape == (count, 4, 4, 5)
    assert torch.equal(out[:, :3], x)
    step = count // size
    for i in range(count):
        members = [j for j in range(count) if j % step == i % step]
        assert len(members) == size
        spread = x[members].std(0, unbiased=False) if size > 1 else torch.full_like(x[0], 1e-4)
        torch.testing.assert_close(out[i, 3], spread.mean().expand(4, 5), rtol=1e-4, atol=1e-8)


def test_a_shift_moves_each_image_by_its_own_pixels_and_lets_air_in():
    images = normal(3, 1, 5, 6)
    by = torch.tensor([[0, 0], [2, -1], [-3, 4]])
    out = shifted(images, by)
    assert torch.equal(out[0], images[0])
    for row in (1, 2):
        down, right = by[row].tolist()
        for i in range(5):
            for j in range(6):
                inside = 0 <= i - down < 5 and 0 <= j - right < 6
                expected = images[row, 0, i - down, j - right] if inside else -1.0
                assert out[row, 0, i, j] == expected
    assert torch.equal(shifted(images, torch.zeros(3, 2, dtype=torch.long)), images)


def test_the_minibatch_spread_tells_a_collapsed_batch():
    discriminator = Discriminator((4, 4), (4, 4), 4)
    images = normal(4, 1, 8, 8, dtype=torch.float32)
    collapsed = images[:1].expand(4, -1, -1, -1)
    alone = discriminator(images[:1])
    assert torch.allclose(discriminator(collapsed), alone.expand(4), atol=1e-5)
    assert (discriminator(images)[0] - alone[0]).abs() > 1e-4


def test_equalised_layers_start_at_unit_variance_and_learn_at_their_rate():
    torch.manual_seed(0)
    layer = Linear(400, 300, bias=1.0, rate=0.01)
    x = torch.randn(200, 400)
    assert (layer(x) - 1).var().item() == pytest.approx(1, rel=0.05)
    assert layer.weight.std().item() == pytest.approx(100, rel=0.02)
    layer(x).sum().backward()
    assert torch.allclose(layer.bias.grad, torch.full((300,), 200 * 0.01))


@pytest.mark.parametrize(
    ("channels", "base"),
    [((6,), (8, 8)), ((6, 4), (4, 6)), ((8, 6, 4, 4), (4, 4)), ((4, 4), (5, 3))],
)
def test_shapes(channels, base):
    generator = Generator(channels, base, latent=5, layers=2, rate=0.01)
    height, width = (side * 2 ** (len(channels) - 1) for side in base)
    assert generator.codes == 2 * len(channels)
    shapes = generator.noise_shapes
    assert shapes[0] == (1, *base)
    assert shapes[-1] == (1, height, width)
    w = generator.map(torch.randn(3, 5))[:, None].expand(-1, generator.codes, -1)
    image = generator(w, [torch.randn(3, *shape) for shape in shapes])
    assert image.shape == (3, 1, height, width)
    assert Discriminator(channels, base, 4)(image).shape == (3,)


def test_each_code_and_each_noise_map_is_used_once_and_where_it_should_be():
    torch.manual_seed(0)
    generator = Generator((8, 6, 4), (4, 4), latent=5, layers=1, rate=0.01)
    for conv in generator.convs:
        nn.init.constant_(conv.strength, 0.5)
    w = generator.map(torch.randn(1, 5))[:, None].repeat(1, generator.codes, 1)
    noise = [torch.randn(1, *shape) for shape in generator.noise_shapes]
    whole = generator(w, noise)
    for code in range(generator.codes):
        other = w.clone()
        other[:, code] += 1
        assert not torch.allclose(generator(other, noise), whole, atol=1e-4), code
    for level in range(len(noise)):
        other = [n.clone() for n in noise]
        # Noise of the last layer touches one pixel, that of the first spreads.
        other[level][..., 1, 1] += 5
        changed = ((generator(w, other) - whole).abs() > 1e-5).sum()
        assert changed == 1 if level == len(noise) - 1 else changed > 8, level


def test_the_mapping_ignores_the_length_of_z():
    generator = Generator((4,), (4, 4), latent=6, layers=3, rate=0.01)
    z = torch.randn(4, 6)
    torch.testing.assert_close(generator.map(z), generator.map(7 * z), rtol=1e-4, atol=1e-5)


# --- regularisers ---------------------------------------------------------------------------


class Bowl(nn.Module):
    """D(x) = sum of a_i x_i + b_i x_i^2 / 2, whose gradient is a + b x."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(normal(1, 4, 4)), nn.Parameter(normal(1, 4, 4, seed=1))

    def forward(self, x):
        return (self.a * x + self.b * x.square() / 2).sum((1, 2, 3))


def test_r1_is_half_the_mean_squared_gradient_and_passes_its_own():
    bowl, real = Bowl(), normal(5, 1, 4, 4, seed=2)
    penalty = stylegan.r1_penalty(bowl, real)
    gradient = bowl.a + bowl.b * real
    by_hand = gradient.square().sum((1, 2, 3)).mean() / 2
    torch.testing.assert_close(penalty, by_hand)
    mine = torch.autograd.grad(penalty, [bowl.a, bowl.b])
    torch.testing.assert_close(mine, torch.autograd.grad(by_hand, [bowl.a, bowl.b]))


def test_r1_of_the_discriminator_against_finite_differences():
    torch.manual_seed(3)
    discriminator = Discriminator((4, 4), (2, 2), 2).double()
    real = normal(2, 1, 4, 4, seed=4)
    penalty = stylegan.r1_penalty(discriminator, real).item()
    step, total = 1e-5, 0.0
    for index in torch.cartesian_prod(*(torch.arange(n) for n in real.shape)):
        up, down = real.clone(), real.clone()
        up[tuple(index)] += step
        down[tuple(index)] -= step
        with torch.no_grad():
            slope = (discriminator(up).sum() - discriminator(down).sum()) / (2 * step)
        total += slope.item() ** 2
    assert penalty == pytest.approx(total / 2 / 2, rel=1e-5)


def test_path_lengths_of_a_linear_generator_are_its_jacobians():
    matrix = normal(36, 10)
    w = normal(4, 2, 5, seed=1).requires_grad_()
    noise = normal(4, 1, 6, 6, seed=2)
    images = (w.flatten(1) @ matrix.t()).view(4, 1, 6, 6)
    lengths = stylegan.path_lengths(images, w, noise)
    pulled = (noise.flatten(1) / 6) @ matrix  # J^T y with y = noise / sqrt(H W)
    by_hand = (pulled.square().sum(1) / 2).sqrt()  # two codes: the mean of their squares
    torch.testing.assert_close(lengths, by_hand)
    # In expectation over y the squared length is |J|^2 / (H W), here per code.
    many = normal(4000, 1, 6, 6, seed=3)
    w = normal(1, 2, 5, seed=1).expand(4000, -1, -1).clone().requires_grad_()
    images = (w.flatten(1) @ matrix.t()).view(-1, 1, 6, 6)
    mean = stylegan.path_lengths(images, w, many).square().mean()
    assert mean.item() == pytest.approx(matrix.square().sum().item() / 36 / 2, rel=0.05)


def test_the_path_regularisers_gradient_against_finite_differences():
    torch.manual_seed(0)
    generator = Generator((4, 3), (3, 3), latent=4, layers=1, rate=1.0).double()
    noise = [normal(2, *shape, seed=5) for shape in generator.noise_shapes]
    codes, y = normal(2, generator.codes, 4, seed=6), normal(2, 1, 6, 6, seed=7)
    weight = generator.convs[1].weight

    def penalty():
        w = codes.clone().requires_grad_()
        return (stylegan.path_lengths(generator(w, noise), w, y) - 0.3).square().mean()

    (gradient,) = torch.autograd.grad(penalty(), weight)
    for index in [(0, 0, 0, 0), (2, 3, 1, 2), (1, 2, 2, 1)]:
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[index] += sign * 1e-6
            values.append(penalty().item())
            with torch.no_grad():
                weight[index] -= sign * 1e-6
        slope = (values[0] - values[1]) / 2e-6
        assert gradient[index].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)


# --- training -------------------------------------------------------------------------------


def learner_of(images=None, stop_at=None, **changes):
    own = {key: value for key, value in changes.items() if key not in BRIEF}
    settings = stylegan.StyleGANSettings(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in {**SMALL, **own}.items()}
    )
    training = TrainingSettings(**{**BRIEF, **{k: v for k, v in changes.items() if k in BRIEF}})
    torch.manual_seed(training.seed)
    network = stylegan.StyleGAN(settings, (4, 4))
    images = discs() * 2 - 1 if images is None else images
    learner = stylegan.StyleGANLearner(network, images, settings, training)
    step, learner.calls = learner.step, 0

    def counted(generator):
        if learner.calls == stop_at:
            raise KeyboardInterrupt
        learner.calls += 1
        return step(generator)

    learner.step = counted
    return learner, training


def test_a_run_resumed_between_lazy_steps_ends_in_the_same_bits(tmp_path):
    lazy = {"r1_every": 5, "path_every": 3}
    learner, training = learner_of(**lazy)
    whole, curve = train(learner, training, tmp_path / "whole", "gan")
    broken, _ = learner_of(stop_at=7, **lazy)
    with pytest.raises(KeyboardInterrupt):
        train(broken, training, tmp_path / "halved", "gan")
    resumed, _ = learner_of(**lazy)
    weights, again = train(resumed, training, tmp_path / "halved", "gan")
    assert resumed.calls == 8  # from the checkpoint at step 4
    assert all(torch.equal(whole[key], weights[key]) for key in whole)
    assert curve.drop(columns="seconds").equals(again.drop(columns="seconds"))
    state = learner.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(state[0][key], state[1][key]) for key in state[0])
    assert state[0]["path_mean"] > 0
    assert state[0]["taken"] == 12


def test_the_discriminator_sees_everything_moved_and_the_generator_learns_through_it():
    (learner, _), seen = learner_of(shift=3), []
    discriminate = learner.network.discriminator.forward
    learner.network.discriminator.forward = lambda x: seen.append(x) or discriminate(x)
    learner.step(torch.Generator().manual_seed(0))
    through, made, real = seen[:3]
    assert through.requires_grad
    assert not made.requires_grad
    assert not any(torch.equal(image, shown) for image in real for shown in learner.images)
    assert not torch.equal(through, made)  # the same images, moved anew
    assert (real == -1).any()


def test_regularisers_come_when_due_and_enter_times_their_interval():
    learner, _ = learner_of(r1_every=3, path_every=2)
    network, seen = learner.network, []
    for number in range(6):
        before = {name: p.clone() for name, p in network.named_parameters()}
        losses = learner.step(torch.Generator().manual_seed(number))
        seen.append((losses["r1"] > 0, losses["path"] > 0))
        moved = {n.split(".")[0] for n, p in network.named_parameters() if not p.equal(before[n])}
        assert moved == {"generator", "discriminator"}
    assert [r1 for r1, _ in seen] == [True, False, False, True, False, False]
    assert [path for _, path in seen] == [True, False, True, False, True, False]
    once, _ = learner_of(r1_every=1, path=0.0)
    four, _ = learner_of(r1_every=4, path=0.0)
    penalties = [each.step(torch.Generator().manual_seed(0))["r1"] for each in (once, four)]
    assert penalties[1] / penalties[0] == pytest.approx(
        4, rel=0.05
    )  # Adam's shares differ a little


def test_the_running_path_length_is_the_formulas():
    learner, _ = learner_of(path_decay=0.25, path_every=1)
    found, lengths = [], stylegan.path_lengths
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stylegan, "path_lengths", lambda *a: found.append(lengths(*a)) or found[-1])
        for number in range(3):
            losses = learner.step(torch.Generator().manual_seed(number))
    a, b, c = (each.mean().item() for each in found)
    mean = 0.25 * c + 0.75 * (0.25 * b + 0.75 * 0.25 * a)
    assert learner.network.path_mean.item() == pytest.approx(mean, rel=1e-5)
    penalty = 2.0 * (found[-1] - mean).square().mean().item()
    assert losses["path"] == pytest.approx(penalty, rel=1e-4)


def test_optimizers_are_corrected_for_their_lazy_steps():
    learner, training = learner_of(r1_every=16, path_every=8)
    for optimizer, every in zip(learner.optimizers, (8, 16), strict=True):
        share = every / (every + 1)
        (group,) = optimizer.param_groups
        assert group["rate_factor"] == pytest.approx(share)
        assert group["lr"] == pytest.approx(training.learning_rate * share)
        assert group["betas"] == pytest.approx((0.0, 0.99**share))


def test_mixed_styles_share_a_prefix_with_one_latent_and_a_suffix_with_another():
    learner, _ = learner_of(mixing=1.0)
    _, w = learner._fake(64, torch.Generator().manual_seed(0))
    changes = (w[:, 1:] != w[:, :-1]).any(2).sum(1)
    assert torch.equal(changes, torch.ones(64, dtype=torch.long))
    learner, _ = learner_of(mixing=0.0)
    _, w = learner._fake(8, torch.Generator().manual_seed(0))
    assert torch.equal(w, w[:, :1].expand_as(w))


def test_a_loss_that_is_not_finite_stops_the_run():
    learner, _ = learner_of(images=torch.full((4, 1, 16, 16), float("nan")))
    with pytest.raises(StudyError, match=r"training\.learning_rate"):
        learner.step(torch.Generator().manual_seed(0))


# --- the family -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    return trained_on_discs()


@pytest.fixture(scope="module")
def model(trained):
    return stylegan.load(trained[0], trained[1], CPU)


def test_the_weights_are_the_averaged_generators(trained):
    settings, weights, curve = trained
    assert list(curve.columns) == ["step", "seconds", "rate", "loss", "discriminator", "r1", "path"]
    assert all(key.startswith("generator.") for key in weights)
    network = stylegan.StyleGAN(stylegan._settings(settings)[0], (4, 4))
    assert set(weights) == {k for k in network.state_dict() if k.startswith("generator.")}


def test_samples_come_to_look_like_the_training_images(trained, model):
    untrained = stylegan.StyleGAN(stylegan._settings(trained[0])[0], (4, 4)).generator
    real = discs(24)
    misfit = []
    for each in (model, stylegan.StyleGANModel(untrained)):
        drawn = each.sample(list(range(32)))
        assert drawn.shape == (32, 1, 16, 16)
        misfit.append((drawn.mean(0) - real.mean(0)).abs().mean())
    assert misfit[0] < 0.3 * misfit[1]
    assert model.sample(list(range(32))).std(0).mean() > 0.03  # not one image for every latent


def test_pictures_are_the_same_draws_at_every_moment_of_a_training():
    learner, _ = learner_of()
    first, again = learner.show(), learner.show()
    assert torch.equal(first, again)
    assert first.shape == (COUNT, 1, *learner.images.shape[2:])
    images, _ = learner._fake(COUNT, torch.Generator().manual_seed(0))
    torch.testing.assert_close(2 * first - 1, images, rtol=0, atol=1e-6)  # 0..1, from -1..1
    learner.step(torch.Generator().manual_seed(0))
    assert not torch.equal(learner.show(), first)


def test_an_image_depends_on_its_seed_alone(model):
    whole = model.sample([3, 4, 5, 6])
    torch.testing.assert_close(model.sample([5]), whole[2:3], rtol=0, atol=1e-5)
    assert torch.equal(whole, model.sample([3, 4, 5, 6]))
    assert not torch.allclose(whole[0], whole[1], atol=1e-3)


def test_the_mean_and_spread_of_w(model):
    z = torch.randn(20000, model.generator.latent, generator=torch.Generator().manual_seed(9))
    w = model.generator.map(z)
    spread = (w - w.mean(0)).square().mean().sqrt()
    assert model.spread == pytest.approx(spread.item(), rel=0.03)
    assert (model.centre - w.mean(0)).abs().max() < 0.1 * spread


def test_noise_maps_follow_their_seeds(model):
    one, two = (model.noise(SliceNoise(seeds)) for seeds in ([7, 8], [8]))
    assert [n.shape[1:] for n in one] == [torch.Size(s) for s in model.generator.noise_shapes]
    assert all(torch.equal(a[1], b[0]) for a, b in zip(one, two, strict=True))


def test_wrong_sizes_and_weights_are_told(trained, tmp_path):
    settings, weights, _ = trained
    path = tmp_path / "sub-01_T1w.nii.gz"
    write_nifti(path, torch.rand(18, 18, 2).numpy(), torch.eye(4).numpy())
    data = TrainingData({"target": [path]}, FAMILIES["stylegan"].needs)
    with pytest.raises(StudyError, match="image_size 18 is not a multiple of 4"):
        stylegan.fit(settings, data, tmp_path / "state", CPU, "gan")
    other = {**settings, "stylegan": {**settings["stylegan"], "latent": 9}}
    for wrong in ((other, weights), (settings, {"quantiles": torch.zeros(3)})):
        with pytest.raises(StudyError, match="weights do not fit the model's config"):
            stylegan.load(*wrong, CPU)
    with pytest.raises(StudyError, match=r"stylegan\.chanels is not a known key"):
        stylegan.load({**settings, "stylegan": {"chanels": [4]}}, weights, CPU)
