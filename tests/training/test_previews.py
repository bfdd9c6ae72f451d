"""Pictures taken while training."""

import numpy as np
import torch
from torch import nn

from lmidiff.training.previews import Previews, write_previews


def test_a_picture_before_the_first_checkpoint_makes_its_own_folder(tmp_path):
    network = nn.Linear(1, 1, bias=False)
    average = {"weight": torch.full((1, 1), 0.5)}
    state = tmp_path / "not" / "there"
    pictures = Previews(state, 6, lambda: network.weight.detach().expand(1, 1, 4, 4))
    before = network.weight.detach().clone()
    pictures.take(1, network, average)
    assert torch.equal(network.weight.detach(), before)
    write_previews(state, tmp_path / "previews.npz")
    with np.load(tmp_path / "previews.npz") as kept:
        assert kept["steps"].tolist() == [1]
        assert (kept["images"] == 128).all()
