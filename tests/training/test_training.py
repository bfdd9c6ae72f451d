"""The training loop: resumed runs to the bit, damaged states, EMA and rates by their formulas."""

import fcntl
import logging
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from lmidiff.common.errors import StudyError
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import LossLearner, draw_batch, fit
from toys import CPU, Toy, same_bits, settings_of


def learner_of(settings, stop_at=None):
    torch.manual_seed(settings.seed)
    network = Toy()
    taken = [0]

    def loss(generator):
        x = torch.randn(settings.batch_size, 3, generator=generator)
        if stop_at is not None and taken[0] == stop_at:
            raise KeyboardInterrupt
        taken[0] += 1
        return (network(x) - x.sum(1, keepdim=True)).square().mean()

    learner = LossLearner(network, loss, settings, CPU)
    learner.taken = taken
    return learner


def run(state, stop_at=None, **changes):
    settings = settings_of(**changes)
    learner = learner_of(settings, stop_at)
    weights, curve = fit(learner, settings, state, "toy")
    return weights, curve, learner


# --- what a run gives -----------------------------------------------------------------------


def test_the_loss_falls_and_the_curve_tells_it(tmp_path):
    weights, curve, learner = run(tmp_path, steps=400, log_every=50, ema=0.9)
    assert list(curve.columns) == ["step", "seconds", "rate", "loss"]
    assert list(curve.step) == list(range(50, 401, 50))
    assert curve.loss.iloc[-1] < 0.4 * curve.loss.iloc[0]
    assert curve.seconds.is_monotonic_increasing
    # The average predicts well too, with what the last weights make of dropout left out.
    network = Toy().eval()
    network.load_state_dict(weights)
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(5))
    assert (network(x) - x.sum(1, keepdim=True)).square().mean() < 0.5
    assert weights["seen"].item() == learner.network.seen.item()


def test_the_curve_holds_the_mean_loss_since_the_last_row(tmp_path):
    settings = settings_of(steps=8)
    learner = learner_of(settings)
    losses, step = [], learner.step

    def spy(generator):
        losses.append(step(generator)["loss"])
        return {"loss": losses[-1]}

    learner.step = spy
    _, curve = fit(learner, settings, tmp_path, "toy")
    assert list(curve.loss) == pytest.approx([sum(losses[:4]) / 4, sum(losses[4:]) / 4])


@pytest.mark.parametrize(("ema", "warmup"), [(0.7, True), (0.999, True), (0.999, False)])
def test_the_average_is_the_formulas(tmp_path, ema, warmup):
    settings = settings_of(ema=ema, ema_warmup=warmup)
    learner = learner_of(settings)
    history = [{k: v.double() for k, v in learner.network.state_dict().items()}]
    step = learner.step

    def spy(generator):
        losses = step(generator)
        history.append({k: v.clone().double() for k, v in learner.network.state_dict().items()})
        return losses

    learner.step = spy
    weights, _ = fit(learner, settings, tmp_path, "toy")
    # The sum over steps of each one's weight, not the recursion that the loop runs.
    decay = [min(ema, (1 + i) / (10 + i)) if warmup else ema for i in range(40)]
    share = [math.prod(decay)]
    share += [(1 - decay[i]) * math.prod(decay[i + 1 :]) for i in range(40)]
    assert sum(share) == pytest.approx(1)
    for key in ("net.0.weight", "net.3.bias"):
        by_hand = sum(w * h[key] for w, h in zip(share, history, strict=True))
        torch.testing.assert_close(weights[key].double(), by_hand, rtol=1e-5, atol=1e-6)


def test_the_rate_warms_up_and_falls_by_a_cosine(tmp_path):
    settings = TrainingSettings(steps=1100, warmup=100, learning_rate=2e-3, final_rate=0.1)
    assert settings.rate(0) == pytest.approx(2e-5)
    assert settings.rate(49) == pytest.approx(1e-3)
    assert settings.rate(99) == settings.rate(100) == pytest.approx(2e-3)
    for step in (100, 350, 600, 999, 1100):
        share = (1 + math.cos(math.pi * (step - 100) / 1000)) / 2
        assert settings.rate(step) == pytest.approx(2e-3 * (0.1 + 0.9 * share), rel=1e-6)
    assert settings.rate(600) == pytest.approx(2e-3 * 0.55)
    assert settings.rate(1100) == pytest.approx(2e-4)
    # And the optimizer is given it.
    short = settings_of()
    learner = learner_of(short)
    rates, step = [], learner.step
    learner.step = lambda g: rates.append(learner.optimizers[0].param_groups[0]["lr"]) or step(g)
    fit(learner, short, tmp_path, "toy")
    assert rates == [short.rate(i) for i in range(40)]


def test_another_seed_gives_other_weights(tmp_path):
    one, same, other = (run(tmp_path / str(i), seed=seed) for i, seed in enumerate((1, 1, 2)))
    same_bits(one, same)
    assert not torch.equal(one[0]["net.0.weight"], other[0]["net.0.weight"])


def test_gradients_are_clipped(tmp_path):
    settings = settings_of(clip=1e-3, steps=1)
    learner = learner_of(settings)
    fit(learner, settings, tmp_path, "toy")
    norms = [p.grad.norm() for p in learner.network.parameters()]
    assert torch.stack(norms).norm() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, value):
    settings = settings_of()
    network = nn.Linear(1, 1)
    learner = LossLearner(network, lambda _: network.weight.sum() * value, settings, CPU)
    before = network.weight.clone()
    with pytest.raises(StudyError, match=r"training\.learning_rate"):
        fit(learner, settings, tmp_path, "toy")
    assert torch.equal(network.weight, before)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("log_every", 0),
        ("checkpoint_every", 0),
        ("precision", "half"),
        ("optimizer", "sgd"),
    ],
)
def test_wrong_settings_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key):
        TrainingSettings(**{key: value})


def test_batches_are_slices_or_their_mirror_images_left_to_right():
    images = torch.rand(6, 1, 4, 5)
    generator = torch.Generator().manual_seed(0)
    kinds = {"as is": 0, "mirrored": 0}
    rows = set()
    for slice_ in torch.cat([draw_batch(images, 50, generator) for _ in range(8)]):
        for row, image in enumerate(images):
            if torch.equal(slice_, image):
                kinds["as is"] += 1
                rows.add(row)
            elif torch.equal(slice_, image.flip(1)):  # (1, X, Y): X runs from left to right
                kinds["mirrored"] += 1
                rows.add(row)
    assert sum(kinds.values()) == 400
    assert abs(kinds["mirrored"] - 200) < 50  # five standard deviations
    assert rows == set(range(6))


# --- resumed runs ---------------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", [3, 10, 27, 39])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, stop_at):
    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "halved", stop_at=stop_at)
    resumed = run(tmp_path / "halved")
    same_bits(whole, resumed)
    assert resumed[2].taken[0] == 40 - stop_at // 10 * 10  # only what was missing
    state = whole[2].network.state_dict(), resumed[2].network.state_dict()
    assert all(torch.equal(state[0][key], state[1][key]) for key in state[0])


def test_a_finished_state_gives_the_same_weights_at_once(tmp_path):
    whole = run(tmp_path)
    again = run(tmp_path)
    same_bits(whole, again)
    assert again[2].taken[0] == 0


def test_an_optimizer_with_momentum_resumes_it(tmp_path):
    # Without Adam's moments the weights of a resumed run would differ.
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at=25)
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert content["step"] == 20
    moments = content["optimizers"][0]["state"]
    assert all(state["step"] == 20 for state in moments.values())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_set_aside_for_the_one_before(tmp_path, share, caplog):
    whole = run(tmp_path / "whole")
    state = tmp_path / "halved"
    with pytest.raises(KeyboardInterrupt):
        run(state, stop_at=35)
    latest = state / "checkpoint.pt"
    content = latest.read_bytes()
    latest.write_bytes(content[: int(share * len(content))])
    with caplog.at_level(logging.WARNING, "lmidiff"):
        resumed = run(state)
    same_bits(whole, resumed)
    assert resumed[2].taken[0] == 20  # from step 20, not 30
    assert str(latest) in caplog.text
    assert (state / "checkpoint.unreadable").stat().st_size == int(share * len(content))


def other_network():
    """A checkpoint whose first layer fits, so that loading it gets half way."""
    network = Toy()
    nn.init.constant_(network.net[0].weight, 9.0)
    content = {"network": network.state_dict(), "optimizers": [], "average": {}, "step": 30}
    del content["network"]["net.3.bias"]
    return content


def without_average():
    network = Toy()
    nn.init.constant_(network.net[0].weight, 9.0)
    optimizer = torch.optim.Adam(network.parameters(), lr=1.0)
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "network": network.state_dict(),
        "optimizers": [optimizer.state_dict()],
        "average": {"net.0.weight": torch.zeros(8, 3)},
        "step": 30,
    }


@pytest.mark.parametrize(
    "foreign",
    [
        lambda: [1, 2],
        dict,
        lambda: torch.zeros(3),
        lambda: {"network": 1},
        other_network,
        without_average,
        lambda: Path("a class that weights_only refuses"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch, on what it is fed
def test_a_foreign_checkpoint_is_set_aside_and_leaves_no_trace(tmp_path, foreign):
    whole = run(tmp_path / "whole")
    state = tmp_path / "foreign"
    state.mkdir()
    torch.save(foreign(), state / "checkpoint.pt")
    fresh = run(state)
    same_bits(whole, fresh)
    assert (state / "checkpoint.unreadable").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04garbage", bytes(range(256)) * 40])
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch, on what it is fed
def test_a_file_that_is_no_checkpoint_is_set_aside(tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    _, _, learner = run(tmp_path, steps=3)
    assert learner.taken[0] == 3
    assert (tmp_path / "checkpoint.unreadable").read_bytes() == content


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    with open(tmp_path / "lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StudyError, match="another job") as raised:
            run(tmp_path)
        assert str(tmp_path) in str(raised.value)
    assert run(tmp_path, steps=1)[2].taken[0] == 1  # free again


def test_a_run_holds_its_folder_while_it_trains(tmp_path):
    settings = settings_of(steps=1)
    learner = learner_of(settings)
    step = learner.step

    def spy(generator):
        with (
            open(tmp_path / "lock", "w") as other,
            pytest.raises(BlockingIOError),
        ):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return step(generator)

    learner.step = spy
    fit(learner, settings, tmp_path, "toy")
