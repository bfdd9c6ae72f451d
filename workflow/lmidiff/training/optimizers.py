"""What turns gradients into steps: Adam for every weight, or Muon for those of inner layers."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lmidiff.training.learner import TrainingSettings

# Of the quintic iteration: steep at zero; it leaves singular values between about 0.7 and 1.2.
QUINTIC = (3.4445, -4.775, 2.0315)
ROUNDS = 5


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix (M, N) with its singular values brought near 1, by Newton-Schulz iterations.

    As in Jordan et al., Muon (2024), but in the matrix's own precision: :class:`torch.optim.Muon`
    computes in bfloat16, which without units for it takes longer than the rest of a training step.
    """
    a, b, c = QUINTIC
    wide = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(ROUNDS):
        gram = wide @ wide.mT
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if matrix.shape[0] > matrix.shape[1] else wide


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; a convolution's weight is a matrix of outputs x inputs.

    Steps are as long as Adam's at the same rate (Liu et al., Muon is scalable for LLM training,
    arXiv 2502.16982, equation 4), so both share a schedule. No weight decay.

    Args:
        weights: of two dimensions at least.
        lr: rate.
        momentum: decay of the gradients' average.

    Raises:
        ValueError: a weight has fewer than two dimensions.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})
        for group in self.param_groups:
            if any(weight.ndim < 2 for weight in group["params"]):
                raise ValueError("Muon takes weights of at least two dimensions")

    @torch.no_grad()
    def step(self) -> None:
        """Take one step for every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group["lr"], group["momentum"])

    def _move(self, weight: Tensor, gradient: Tensor, rate: float, momentum: float) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        average = state["momentum"].lerp_(gradient, 1 - momentum)
        direction = orthogonalised(gradient.lerp(average, momentum).flatten(1))
        length = 0.2 * max(direction.shape) ** 0.5
        weight.sub_(direction.view_as(weight), alpha=rate * length)


def optimizers_of(network: nn.Module, settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """The optimizers of a network with one loss; between them they hold each parameter once.

    Muon takes the weights of every layer but the first and the last, as its author advises; those
    two, norms and biases are left to Adam.
    """
    parameters, rate = list(network.parameters()), settings.learning_rate
    inner = [parameter for parameter in parameters if parameter.ndim > 1][1:-1]
    if settings.optimizer == "adam" or not inner:
        return [torch.optim.Adam(parameters, lr=rate)]
    taken = {id(parameter) for parameter in inner}
    rest = [parameter for parameter in parameters if id(parameter) not in taken]
    return [Muon(inner, lr=rate), torch.optim.Adam(rest, lr=rate)]
