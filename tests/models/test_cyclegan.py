"""CycleGAN: losses by hand, the pool against its published rule, resumed runs to the bit."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lmidiff
from lmidiff.common.errors import StudyError
from lmidiff.data.nifti import write_nifti
from lmidiff.data.training_data import TrainingData
from lmidiff.methods import make
from lmidiff.methods.build import build_method
from lmidiff.methods.cyclegan import CycleGAN, CycleGANUnseen
from lmidiff.models import FAMILIES, cyclegan
from lmidiff.models.cyclegan import CycleGANSettings, CycleLearner, LinearDecay
from lmidiff.models.weights import publish
from lmidiff.networks.cyclegan import (
    NORMALISATIONS,
    Critic,
    Generator,
    ImagePool,
    Standardised,
)
from lmidiff.training.loop import draw_batch
from lmidiff.training.loop import fit as train
from lmidiff.training.previews import write_previews

CPU = torch.device("cpu")
SIZE = 16
SMALL = {"channels": 4, "blocks": 1, "critic_channels": 4, "critic_layers": 1, "pool": 6}
BRIEF = {
    "steps": 14,
    "batch_size": 2,
    "learning_rate": 2e-3,
    "warmup": 2,
    "ema": 0.9,
    "precision": "float32",
    "checkpoint_every": 4,
    "log_every": 2,
}


def brains(count, seed, inverted=False):
    """A bright core in a darker shell, in air, of random size and place; or the reverse."""
    generator = torch.Generator().manual_seed(seed)
    row, column = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    images = []
    for _ in range(count):
        y, x, shell, core = torch.rand(4, generator=generator)
        away = ((row - 6.5 - 2 * y) ** 2 + (column - 6.5 - 2 * x) ** 2).sqrt()
        image = torch.where(away < 2.0 + 2 * core, 0.9, 0.3)
        image = 1.2 - image if inverted else image
        noise = 0.02 * torch.randn(SIZE, SIZE, generator=generator)
        images.append((image + noise).clamp(0.02, 1) * (away < 5.5 + shell))
    return torch.stack(images).unsqueeze(1)


def learner_of(stop_at=None, delay=0.0, normalisation="instance", **changes):
    schedule = LinearDecay(**{**BRIEF, **changes})
    settings = CycleGANSettings(**SMALL, normalisation=normalisation)
    learner = CycleLearner(settings, schedule, brains(8, 1), brains(8, 2, inverted=True), CPU)
    learner.taken, step = 0, learner.step

    def counted(generator):
        time.sleep(delay)
        if learner.taken == stop_at:
            raise KeyboardInterrupt
        learner.taken += 1
        return step(generator)

    learner.step = counted
    return learner


def run(state, stop_at=None, **changes):
    learner = learner_of(stop_at, **changes)
    weights, curve = train(learner, learner.training, state, "toy")
    return weights, curve.drop(columns="seconds"), learner


def same_bits(a, b):
    assert a[0].keys() == b[0].keys()
    assert all(torch.equal(a[0][key], b[0][key]) for key in a[0])
    assert a[1].equals(b[1])


# --- the networks ---------------------------------------------------------------------------


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize(("channels", "levels", "blocks"), [(4, 0, 1), (6, 1, 0), (4, 2, 2)])
def test_a_generator_keeps_shape_range_and_air(channels, levels, blocks, normalisation):
    torch.manual_seed(0)
    generator = Generator(channels, levels, blocks, 3, normalisation)
    for parameter in generator.parameters():
        parameter.data.mul_(20)  # loud, so that the sigmoid is driven to its ends
    images = brains(3, 5)[..., :12]
    with torch.no_grad():
        output = generator(images)
    assert output.shape == images.shape
    assert output.dtype == torch.float32
    assert output.min() == 0
    assert output.max() <= 1
    assert bool((output[images == 0] == 0).all())
    assert output[images > 0].std() > 0.01


@pytest.mark.parametrize(("layers", "side"), [(1, 16), (2, 34), (3, 70)])
def test_a_verdict_is_on_a_patch_of_the_stated_side(layers, side):
    # By gradient, without the normalisation, through which every pixel reaches every verdict.
    torch.manual_seed(0)
    critic = Critic(4, layers)
    for name, module in list(critic.named_modules()):
        if isinstance(module, nn.InstanceNorm2d):
            parent = critic.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], nn.Identity())
    for parameter in critic.parameters():
        parameter.data.abs_().add_(0.01)
    image = torch.rand(1, 1, 144, 144, requires_grad=True)
    verdict = critic(image)
    middle = verdict.shape[-1] // 2
    verdict[0, 0, middle, middle].backward()
    seen = image.grad[0, 0].abs() > 0
    assert int(seen.any(0).sum()) == int(seen.any(1).sum()) == side


def test_standardised_intensities_are_in_units_of_the_training_slices():
    images = brains(20, 3)
    view = Standardised()
    view.measure(images)
    seen = view(images).double().numpy()
    x = images.double().numpy()[:, 0]
    brain = x > 0
    expected = np.where(brain, (x - x[brain].mean()) / x[brain].std(ddof=1), 0)
    np.testing.assert_allclose(seen[:, 0], expected, atol=1e-5)
    assert np.array_equal(seen[:, 1], brain)
    # One scale for all: the same grey is the same number in any image, which is what counts.
    grey = torch.full((1, 1, SIZE, SIZE), 0.3)
    assert torch.equal(view(torch.cat([grey, images[:1]]))[0, 0], view(grey)[0, 0])
    view.measure(torch.full((2, 1, 4, 4), 0.5))  # no contrast at all
    assert torch.isfinite(view(images)).all()


def test_each_network_standardises_by_what_it_is_shown():
    targets, sources = brains(8, 1), 0.5 * brains(8, 2, inverted=True)
    settings = CycleGANSettings(**SMALL, normalisation="images")
    learner = CycleLearner(settings, LinearDecay(**BRIEF), targets, sources, CPU)
    for name in ("to_target", "to_source", "target_critic", "source_critic"):
        shown = sources if name in ("to_target", "source_critic") else targets
        view = learner.network[name].view
        assert view.mean.item() == pytest.approx(shown[shown > 0].mean().item())
        assert view.spread.item() == pytest.approx(shown[shown > 0].std().item())


def test_a_spectrally_normalised_critic_has_weights_of_norm_one():
    torch.manual_seed(0)
    critic = Critic(6, 2, "images")
    layers = [module for module in critic.modules() if isinstance(module, nn.Conv2d)]
    assert len(layers) == 4
    assert not any(isinstance(module, nn.InstanceNorm2d) for module in critic.modules())
    for _ in range(100):
        critic(brains(2, 0))
    for layer in layers:
        norm = np.linalg.svd(layer.weight.detach().flatten(1).double().numpy())[1][0]
        assert norm == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("spectral", [True, False])
def test_both_critics_are_normalised_spectrally_if_asked(spectral):
    settings = CycleGANSettings(**SMALL, normalisation="images", spectral=spectral)
    learner = CycleLearner(settings, LinearDecay(**BRIEF), brains(4, 1), brains(4, 2), CPU)
    names = [n for n in learner.network.state_dict() if n.endswith("parametrizations.weight.0._u")]
    layers = len(
        [m for m in learner.network["target_critic"].modules() if isinstance(m, nn.Conv2d)]
    )
    assert len(names) == (2 * layers if spectral else 0)
    learner.step(torch.Generator().manual_seed(0))


# --- the losses -----------------------------------------------------------------------------


def test_least_squares_losses_are_the_formulas():
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(2, 3, 1, 4, 4))
    by_torch = [torch.from_numpy(x) for x in (real, made)]
    assert cyclegan.fools(by_torch[1]) == pytest.approx(np.mean((made - 1) ** 2))
    expected = (np.mean((real - 1) ** 2) + np.mean(made**2)) / 2
    assert cyclegan.tells_apart(*by_torch) == pytest.approx(expected)
    assert cyclegan.distance(*by_torch) == pytest.approx(2 * np.mean(np.abs(real - made)))
    # The optimum of a critic that cannot tell: 1/2 everywhere, at a loss of 1/4 (Mao et al. 2017).
    half = torch.full((2, 1, 3, 3), 0.5)
    assert cyclegan.tells_apart(half, half) == pytest.approx(0.25)


class Scale(nn.Module):
    """A generator or critic whose output is known: w x."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))

    def forward(self, x):
        return self.w * x


@pytest.mark.parametrize("weights", [(10.0, 5.0), (3.0, 0.0), (0.0, 1.0)])
def test_a_step_minimises_the_sum_of_the_papers_equations(weights):
    lambda_cycle, lambda_identity = weights
    settings = CycleGANSettings(lambda_cycle=lambda_cycle, lambda_identity=lambda_identity, pool=0)
    targets, sources = brains(8, 1), brains(8, 2, inverted=True)
    schedule = LinearDecay(**{**BRIEF, "clip": 1e9})
    learner = CycleLearner(settings, schedule, targets, sources, CPU)
    g, f, d_x, d_y = 0.7, 0.6, 0.4, 0.9
    names = ("to_target", "to_source", "target_critic", "source_critic")
    for name, w in zip(names, (g, f, d_x, d_y), strict=True):
        learner.network[name] = Scale(w)
    learner.generators = learner._parameters("to_target", "to_source")
    learner.critics = learner._parameters("target_critic", "source_critic")
    learner.optimizers = [torch.optim.SGD(p, lr=1.0) for p in (learner.generators, learner.critics)]
    draws = torch.Generator().manual_seed(3)
    x, y = (draw_batch(z, 2, draws).double().numpy() for z in (targets, sources))
    losses = learner.step(torch.Generator().manual_seed(3))

    def mean(z):
        return float(np.mean(z))

    adversarial = mean((d_x * g * y - 1) ** 2) + mean((d_y * f * x - 1) ** 2)
    cycle = 2 * (1 - f * g) * (mean(y) + mean(x))  # |f g z - z| with z >= 0 and f g < 1
    identity = 2 * ((1 - g) * mean(x) + (1 - f) * mean(y)) if lambda_identity else 0.0
    critic = 0.5 * (mean((d_x * x - 1) ** 2) + mean((d_x * g * y) ** 2))
    critic += 0.5 * (mean((d_y * y - 1) ** 2) + mean((d_y * f * x) ** 2))
    assert losses["adversarial"] == pytest.approx(adversarial, rel=1e-5)
    assert losses["cycle"] == pytest.approx(cycle, rel=1e-5)
    assert losses["identity"] == pytest.approx(identity, rel=1e-5)
    assert losses["critic"] == pytest.approx(critic, rel=1e-5)
    total = adversarial + lambda_cycle * cycle + lambda_identity * identity
    assert losses["loss"] == pytest.approx(total, rel=1e-5)
    # One step of plain descent is the derivative, by hand; the critic's is at the old generators.
    slope = mean(2 * d_x * y * (d_x * g * y - 1)) - lambda_cycle * 2 * f * (mean(x) + mean(y))
    slope -= lambda_identity * 2 * mean(x)
    assert learner.network["to_target"].w.item() == pytest.approx(g - slope, rel=1e-4)
    slope = mean(x * (d_x * x - 1)) + mean(g * y * d_x * g * y)
    assert learner.network["target_critic"].w.item() == pytest.approx(d_x - slope, rel=1e-4)


def test_a_loss_that_is_not_finite_stops_the_run():
    learner = learner_of()
    learner.network["to_target"].net[0].weight.data.fill_(float("nan"))
    before = {k: v.clone() for k, v in learner.network["to_source"].state_dict().items()}
    with pytest.raises(StudyError, match=r"training\.learning_rate"):
        learner.step(torch.Generator().manual_seed(0))
    after = learner.network["to_source"].state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_the_rate_is_constant_then_falls_in_a_straight_line():
    settings = LinearDecay(steps=200, warmup=10, learning_rate=2e-4, final_rate=0, decay_from=0.5)
    assert settings.rate(0) == pytest.approx(2e-5)
    assert settings.rate(4) == pytest.approx(1e-4)
    assert {settings.rate(step) for step in (9, 10, 50, 99, 100)} == {2e-4}
    assert settings.rate(150) == pytest.approx(1e-4)
    assert settings.rate(199) == pytest.approx(2e-6)
    assert settings.rate(200) == 0
    assert replace(settings, final_rate=0.2).rate(200) == pytest.approx(4e-5)
    assert replace(settings, warmup=0, decay_from=1.0).rate(199) == pytest.approx(2e-4)
    assert replace(settings, warmup=0, decay_from=0.0).rate(50) == pytest.approx(1.5e-4)


# --- the pool -------------------------------------------------------------------------------


def numbered(*values):
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


@pytest.mark.parametrize("size", [0, 1, 5, 50])
def test_the_pool_keeps_the_published_rule(size):
    pool = ImagePool(size, (1, 2, 2))
    generator, same = (torch.Generator().manual_seed(4) for _ in range(2))
    history = []
    for first in range(0, 120, 4):
        values = list(range(first, first + 4))
        given = pool.exchange(numbered(*values), generator)[:, 0, 0, 0].tolist()
        # The rule as Zhu et al. state it, on a list, with the same draws.
        coins = (torch.rand(4, generator=same) < 0.5).tolist()
        places = torch.randint(max(size, 1), (4,), generator=same).tolist()
        expected = []
        for value, coin, place in zip(values, coins, places, strict=True):
            if len(history) < size:
                history.append(value)
                expected.append(value)
            elif size and coin:
                expected.append(history[place])
                history[place] = value
            else:
                expected.append(value)
        assert given == expected
        assert pool.images[: pool.held, 0, 0, 0].tolist() == history
    assert pool.held == size


def test_the_pool_hands_out_old_images_half_of_the_time_and_loses_none():
    pool = ImagePool(10, (1, 2, 2))
    generator = torch.Generator().manual_seed(0)
    given = torch.cat([pool.exchange(numbered(i, i + 1), generator) for i in range(0, 2010, 2)])[
        :, 0, 0, 0
    ]
    old = (given[10:] < torch.arange(10, 2010)).float().mean()
    assert abs(old - 0.5) < 0.06  # five standard deviations
    held = pool.images[:, 0, 0, 0].tolist()
    assert len(set(held)) == 10
    # What was kept at first was handed out then already; later ones are either held or given.
    assert set(given.tolist()) | set(held) == set(range(2010))


def test_the_pool_keeps_no_gradient_and_no_reference():
    pool = ImagePool(2, (1, 2, 2))
    images = numbered(1, 2).clone().requires_grad_()
    given = pool.exchange(images, torch.Generator())
    assert not given.requires_grad
    with torch.no_grad():
        images.fill_(9)
    assert given[:, 0, 0, 0].tolist() == pool.images[:, 0, 0, 0].tolist() == [1, 2]


# --- training -------------------------------------------------------------------------------


def test_a_rerun_is_identical_and_another_seed_is_not(tmp_path):
    one, same, other = (run(tmp_path / str(i), seed=seed) for i, seed in enumerate((1, 1, 2)))
    same_bits(one, same)
    assert not torch.equal(one[0]["to_target.net.0.weight"], other[0]["to_target.net.0.weight"])
    assert list(one[1].columns) == [
        "step", "rate", "loss", "adversarial", "cycle", "identity", "critic"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stop_at", "normalisation"),
    [(1, "instance"), (4, "instance"), (11, "instance"), (6, "images")],
)
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, stop_at, normalisation):
    own = {"normalisation": normalisation}
    whole = run(tmp_path / "whole", **own)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "halved", stop_at=stop_at, **own)
    resumed = run(tmp_path / "halved", **own)
    same_bits(whole, resumed)
    assert resumed[2].taken == 14 - stop_at // 4 * 4
    state = whole[2].network.state_dict(), resumed[2].network.state_dict()
    assert all(torch.equal(state[0][key], state[1][key]) for key in state[0])
    assert whole[2].network["target_pool"].held == 6  # so a full pool was resumed


def test_without_its_pool_a_resumed_run_would_end_elsewhere(tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "halved", stop_at=9)
    path = tmp_path / "halved" / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    assert content["step"] == 8
    content["network"]["target_pool.images"].zero_()
    torch.save(content, path)
    key = "target_critic.net.final_conv.conv.weight"
    assert not torch.equal(run(tmp_path / "halved")[0][key], whole[0][key])


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {package!r}]
import torch
torch.set_num_threads(1)
from pathlib import Path
from test_cyclegan import learner_of, train
learner = learner_of(delay=0.1)
train(learner, learner.training, Path({state!r}), "toy")
"""


def test_a_killed_process_resumes_to_the_same_bits(tmp_path):
    whole = run(tmp_path / "whole")
    state = tmp_path / "killed"
    code = SCRIPT.format(
        tests=str(Path(__file__).parent),
        package=str(Path(lmidiff.__file__).parents[1]),
        state=str(state),
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        end = time.monotonic() + 60
        while not (state / "checkpoint.pt").exists():
            assert process.poll() is None, "the run ended before it was killed"
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    resumed = run(state)
    same_bits(whole, resumed)
    assert 0 < resumed[2].taken < 14


def test_only_the_generators_learn_from_the_first_half_of_a_step():
    learner = learner_of()
    for which, own in enumerate((("to_target", "to_source"), ("target_critic", "source_critic"))):
        held = {id(p) for group in learner.optimizers[which].param_groups for p in group["params"]}
        expected = {id(p) for name in own for p in learner.network[name].parameters()}
        assert held == expected
    seen = []
    for optimizer in learner.optimizers:
        optimizer.step = lambda: seen.append(  # what has a gradient when each descends
            {n.split(".")[0] for n, p in learner.network.named_parameters() if p.grad is not None}
        )
    learner.step(torch.Generator().manual_seed(0))
    assert seen[0] == {"to_target", "to_source"}


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_it_learns_an_unpaired_mapping_whose_answer_is_known(tmp_path, normalisation):
    # Target: core 0.9, shell 0.3. Source: the reverse, of other images. Nothing pairs them.
    schedule = LinearDecay(
        **{**BRIEF, "steps": 120, "batch_size": 4, "learning_rate": 2e-3, "warmup": 10,
           "checkpoint_every": 1000, "log_every": 50}
    )  # fmt: skip
    settings = CycleGANSettings(
        channels=8, blocks=1, critic_channels=8, critic_layers=1,
        lambda_cycle=2.0, lambda_identity=0.5, normalisation=normalisation,
    )  # fmt: skip
    learner = CycleLearner(settings, schedule, brains(40, 1), brains(40, 2, inverted=True), CPU)
    weights, _ = train(learner, schedule, tmp_path, "toy")
    generator = Generator(8, 1, 1, 7, normalisation)
    own = {k.removeprefix("to_target."): v for k, v in weights.items() if k.startswith("to_target")}
    generator.load_state_dict(own)
    source, truth = brains(20, 9, inverted=True), brains(20, 9)
    brain = source > 0
    with torch.no_grad():
        error = (generator(source) - truth)[brain].abs().mean()
    assert error < 0.4 * (source - truth)[brain].abs().mean()
    # And not by one grey for all: it knows core from shell.
    with torch.no_grad():
        made = generator(source)
    contrast = made[truth > 0.6].mean() - made[brain & (truth < 0.6)].mean()
    assert contrast > 0.3


# --- from files to a translation --------------------------------------------------------------


def files_of(folder, modality, people, seed, inverted=False):
    paths = []
    for number in people:
        stack = brains(3, seed + number, inverted)[:, 0].permute(1, 2, 0).numpy()
        paths.append(folder / f"sub-0{number}_{modality}.nii.gz")
        write_nifti(paths[-1], stack, np.diag([3.0, 3.0, 4.0, 1.0]))
    return paths


def block(**changes):
    return {"family": "cyclegan", "source": "PDw", "cyclegan": SMALL, "training": BRIEF, **changes}


@pytest.fixture
def data(tmp_path):
    files = {
        "target": files_of(tmp_path, "T1w", (1, 3), 10),
        "source": files_of(tmp_path, "PDw", (2, 4), 20, inverted=True),
    }
    return TrainingData(files, FAMILIES["cyclegan"].needs)


def test_pictures_of_a_training_are_translations_of_the_source(tmp_path, data):
    weights, _ = cyclegan.fit(block(), data, tmp_path / "state", CPU, "toy")
    write_previews(tmp_path / "state", tmp_path / "previews.npz")
    with np.load(tmp_path / "previews.npz") as taken:
        assert taken["steps"][-1] == BRIEF["steps"]
        last = taken["images"][-1]
    source = data.images("source")
    with torch.no_grad():
        images = cyclegan.load(block(), weights, CPU)(source)
    expected = images[torch.linspace(0, len(source) - 1, len(last)).long(), 0]
    np.testing.assert_allclose(last, 255 * expected.numpy(), atol=0.51)


@pytest.mark.parametrize("kind", [CycleGAN, CycleGANUnseen])
def test_trained_weights_go_out_and_translate_alike_in_any_batch(tmp_path, data, kind):
    weights, curve = cyclegan.fit(block(), data, tmp_path / "state", CPU, "toy")
    assert set(weights) == set(Generator(4, 1, 1).state_dict())  # its opponents stay at home
    assert curve.step.iloc[-1] == 14
    path = tmp_path / "out" / "weights.safetensors"
    publish(path, weights, block())
    name = "cyclegan" if kind is CycleGAN else "cyclegan_unseen"
    job = {"name": name, "family": "cyclegan", "model": block(), "settings": {}}
    method = build_method(job, {}, [str(path)], 1, CPU)
    assert type(method) is kind
    source = brains(5, 7, inverted=True)
    ids = [(f"sub-0{i}", i) for i in range(5)]
    whole = method.translate(source, ids)
    assert whole.spread is None
    assert not whole.image.requires_grad
    assert torch.equal(method.translate(source, ids).image, whole.image)
    parts = [method.translate(source[i : i + 2], ids[i : i + 2]).image for i in (0, 2, 4)]
    torch.testing.assert_close(torch.cat(parts), whole.image, rtol=0, atol=1e-5)
    order = [4, 2, 0, 1, 3]
    turned = method.translate(source[order], [ids[i] for i in order]).image
    torch.testing.assert_close(turned, whole.image[order], rtol=0, atol=1e-5)


def test_what_does_not_fit_is_named(tmp_path, data):
    with pytest.raises(StudyError, match="image_size 16 is not a multiple of 32"):
        cyclegan.fit(block(cyclegan={**SMALL, "levels": 5}), data, tmp_path / "s", CPU, "toy")
    with pytest.raises(StudyError, match=r"cyclegan\.channel is not"):
        cyclegan.fit(block(cyclegan={"channel": 4}), data, tmp_path / "s", CPU, "toy")
    for wrong, says in (
        ({"kernel": 4}, "kernel must be odd"),
        ({"normalisation": "batch"}, "one of"),
    ):
        with pytest.raises(StudyError, match=says):
            cyclegan.load(block(cyclegan=wrong), {}, CPU)
    weights = Generator(4, 1, 1).state_dict()
    generator = cyclegan.load(block(), weights, CPU)
    with pytest.raises(StudyError, match="image_size 15 is not a multiple of 2"):
        make("cyclegan", {}, generator, 1).translate(brains(1, 0)[..., :15], [("sub-01", 0)])
    for wrong in ({}, {"quantiles": torch.zeros(3)}, Generator(4, 2, 1).state_dict()):
        with pytest.raises(StudyError, match="do not fit"):
            cyclegan.load(block(), wrong, CPU)


def test_training_needs_both_sides(data):
    with pytest.raises(StudyError, match="'source' is needed"):
        TrainingData({"target": data.paths("target")}, FAMILIES["cyclegan"].needs)
    with pytest.raises(StudyError, match="'pairs'"):
        data.pairs()
