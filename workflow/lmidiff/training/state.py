"""The state folder of a training: the last checkpoint, and the one before it in case."""

import copy
import io
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmidiff.common.files import atomic
from lmidiff.training import ranks
from lmidiff.training.learner import Learner

logger = logging.getLogger("lmidiff")


@dataclass
class Position:
    """How far a training is.

    Attributes:
        step: optimisation steps taken.
        seconds: spent on them, over all runs.
        curve: rows of the learning curve.
        sums: the losses since its last row.
    """

    step: int = 0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)


class Checkpoints:
    """Saves and restores a learner, its average and its position.

    There is no generator among them: what step i draws depends on the seed and on i alone.

    Args:
        folder: where they lie.
        learner: its networks and optimizers are read and written in place.
        average: the averaged weights, likewise.
    """

    def __init__(self, folder: Path, learner: "Learner", average: dict[str, Tensor]) -> None:
        self.folder, self.learner, self.average = folder, learner, average

    def save(self, position: Position) -> None:
        """Write a checkpoint; raises StudyError, and leaves the others, if the disk is full."""
        content = io.BytesIO()
        torch.save({**self._content(), **asdict(position)}, content)
        latest = self.folder / "checkpoint.pt"
        with atomic(latest) as temporary:
            # Not by torch itself, whose error on a full disk names neither file nor reason.
            temporary.write_bytes(content.getbuffer())
            if latest.exists():
                latest.replace(self.folder / "checkpoint-before.pt")

    def restore(self) -> Position:
        """Go to the last usable checkpoint, if there is one.

        An unusable one is named in the log and set aside. Several processes that train together
        all go where the first one does.
        """
        content = ranks.from_first(self._restored() if ranks.rank() == 0 else None)
        if content is None:
            return Position()
        if ranks.rank():
            self._put(content)
        return _position(content)

    def _restored(self) -> dict[str, Any] | None:
        # An unfit checkpoint may be half loaded before it shows; what it touched is put back.
        fresh = copy.deepcopy(self._content())
        for name in ("checkpoint.pt", "checkpoint-before.pt"):
            path = self.folder / name
            if not path.exists():
                continue
            stream = io.BytesIO(path.read_bytes())  # a disk's error is not the checkpoint's
            try:
                content = torch.load(stream, map_location="cpu", weights_only=True)
                self._put(content)
                _position(content)
                return content
            except (MemoryError, torch.OutOfMemoryError):
                raise  # nor is a full memory
            except Exception as error:  # a damaged pickle can raise anything
                self._put(fresh)
                path.replace(path.with_suffix(".unreadable"))
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                logger.warning("%s: not a usable checkpoint, set aside (%s)", path, reason)
        return None

    def _content(self) -> dict[str, Any]:
        return {
            "network": self.learner.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.learner.optimizers],
            "average": self.average,
        }

    def _put(self, content: dict[str, Any]) -> None:
        self.learner.network.load_state_dict(content["network"])
        for optimizer, saved in zip(self.learner.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for key, value in self.average.items():
            value.copy_(content["average"][key])


def _position(content: dict[str, Any]) -> Position:
    return Position(**{key: content[key] for key in ("step", "seconds", "curve", "sums")})
