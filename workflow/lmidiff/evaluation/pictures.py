"""Small images that figures are drawn from, kept so that a figure needs no volume.

One safetensors file: 8-bit arrays by key, and a JSON index that says what each of them is.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lmidiff.common.errors import StudyError
from lmidiff.common.files import atomic

LEVELS = 255


def write_pictures(path: str | Path, images: Mapping[str, NDArray], index: Any) -> None:
    """Write ``images`` and ``index`` atomically, the same bytes for the same arguments.

    Args:
        path: the safetensors file.
        images: arrays by key. Floats are intensities: clipped to 0..1 and rounded to 255 levels,
            which no print shows. Integers and booleans are labels 0..255, kept as they are.
        index: anything JSON can hold.
    """
    with atomic(path) as temporary:
        arrays = {key: _as_bytes(image) for key, image in images.items()}
        save_file(arrays, temporary, metadata={"index": json.dumps(index, sort_keys=True)})


def read_pictures(path: str | Path) -> tuple[dict[str, NDArray[np.uint8]], Any]:
    """The arrays as stored, and the index. :func:`intensities` turns an image back into 0..1.

    Raises:
        StudyError: the file is missing, damaged or no file of pictures.
    """
    if not Path(path).is_file():
        raise StudyError(f"{path}: missing; run the study, or record it again (make record)")
    try:
        with safe_open(path, framework="numpy") as file:
            index = json.loads(file.metadata()["index"])
            return {key: file.get_tensor(key) for key in file.keys()}, index  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise StudyError(f"{path}: not a readable file of pictures ({error})") from error


def intensities(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A stored image as intensities in 0..1, float32."""
    return image.astype(np.float32) / LEVELS


def _as_bytes(image: NDArray) -> NDArray[np.uint8]:
    image = np.asarray(image)
    if image.dtype.kind == "f":
        image = np.rint(np.clip(image, 0, 1) * LEVELS)
    return np.ascontiguousarray(image.astype(np.uint8))
