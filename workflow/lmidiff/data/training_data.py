"""What a training job was handed, by role; a role that was not declared cannot be read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.common.files import sha256_of
from lmidiff.data.slices import load_slices, subject_of

ROLES = frozenset({"target", "source", "pairs", "labels"})


class TrainingData:
    """Preprocessed training volumes by role.

    Args:
        files: for each role the volumes of the training subjects.
        needs: the roles that the model declares.

    Raises:
        StudyError: files were handed over for a role that ``needs`` does not declare, or a
            declared role has none.
    """

    def __init__(self, files: Mapping[str, Sequence[Path]], needs: frozenset[str]) -> None:
        handed = {role for role, paths in files.items() if paths}
        for role in sorted(handed - needs):
            raise StudyError(f"training data: role {role!r} was handed over but is not in needs")
        for role in sorted(needs - handed):
            raise StudyError(f"training data: role {role!r} is needed but no training file has it")
        self.files = {role: [Path(path) for path in files[role]] for role in sorted(needs)}

    def paths(self, role: str) -> list[Path]:
        """The volumes of a role; raises StudyError for a role that was not declared."""
        if role not in self.files:
            raise StudyError(
                f"training data: this model asks for role {role!r}, which its needs "
                f"({', '.join(self.files) or 'nothing'}) do not declare"
            )
        return self.files[role]

    def images(self, role: str) -> Tensor:
        """All slices of a role that show some brain, (N, 1, H, W) in 0..1.

        Raises:
            StudyError: the role was not declared, or no slice shows any brain.
        """
        images, _ = load_slices(self.paths(role))
        images = images[images.flatten(1).amax(1) > 0]
        if not len(images):
            raise StudyError(f"training data: no slice of role {role!r} shows any brain")
        return images

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Source and target slices of the role ``pairs``, (N, 1, H, W) each, in 0..1.

        Slice by slice of the same subject; slices without any brain are left out.

        Raises:
            StudyError: the role was not declared, the files do not pair up, or show no brain.
        """
        paths = self.paths("pairs")
        sources, targets = paths[0::2], paths[1::2]
        if [subject_of(path) for path in sources] != [subject_of(path) for path in targets]:
            raise StudyError("training data: role 'pairs' needs a source and a target per subject")
        (source, _), (target, _) = load_slices(sources), load_slices(targets)
        shown = target.flatten(1).amax(1) > 0
        if source.shape != target.shape or not shown.any():
            raise StudyError("training data: pairs differ in their slices, or none shows any brain")
        return source[shown], target[shown]

    def digest(self) -> str:
        """SHA-256 over every file's role and content."""
        return "-".join(f"{role}:{sha256_of(paths)}" for role, paths in self.files.items())
