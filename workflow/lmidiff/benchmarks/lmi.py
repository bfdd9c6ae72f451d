"""The LMI estimators against ``reference``: time, peak memory, and how they grow with the image."""

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.benchmarks.measure import interleaved, one_block, peak_mb, run_alone
from lmidiff.benchmarks.names import ONE_BLOCK
from lmidiff.common.devices import describe
from lmidiff.lmi import ESTIMATORS, local_mutual_information

COLUMNS = (
    "estimator",
    "size_px",
    "seconds",
    "seconds_min",
    "seconds_max",
    "rounds",
    "times_faster_than_reference",
    "times_faster_than_reference_one_block",
    "peak_memory_mb",
    "exponent",
    "image",
    "device",
)
IMAGE = "cross map of two smooth random images, noise SD 0.02 of 0..1, batch of 1"


def image(size: int, seed: int) -> Tensor:
    """A smooth random image with noise, (1, 1, size, size) in 0..1; bumps of about 16 px."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, size // 16 + 2, size // 16 + 2, generator=generator)
    smooth = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)
    return (smooth + 0.02 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)


def lmi_map(estimator: str, y: Tensor, x: Tensor) -> Tensor:
    """The map by an estimator or, by the name ``ONE_BLOCK``, by ``reference`` without blocks."""
    with torch.no_grad(), one_block(estimator == ONE_BLOCK):
        return local_mutual_information(y, x, estimator=estimator.split(",")[0])


def benchmark(
    settings: Mapping[str, Any], device: torch.device, *_: Mapping[str, Any]
) -> pd.DataFrame:
    """Measure every estimator at every size.

    Args:
        settings: ``rounds``, image size in px to the number of rounds (null skips it);
            ``one_block_up_to``, the largest image in px of the row ``ONE_BLOCK``; and
            ``memory_from``, the smallest in px whose memory is measured.

    Returns:
        One row an estimator and size, ``COLUMNS``: median, least and largest seconds of a map;
        ratios as the median over rounds of the ratio within a round; peak memory in MB; and the
        exponent of the time in the number of pixels, 1 being linear.
    """
    rows = []
    for size, rounds in settings["rounds"].items():
        if rounds is None:
            continue
        names = [ONE_BLOCK] if size <= settings["one_block_up_to"] else []
        names = [*names, *ESTIMATORS]
        y, x = (image(size, seed).to(device) for seed in (1, 2))
        functions = {name: partial(lmi_map, name, y, x) for name in names}
        times = interleaved(functions, rounds, device)
        for name in names:
            one = (times[ONE_BLOCK] / times[name]).median() if ONE_BLOCK in times else None
            rows.append(
                {
                    "estimator": name,
                    "size_px": size,
                    "seconds": times[name].median(),
                    "seconds_min": times[name].min(),
                    "seconds_max": times[name].max(),
                    "rounds": rounds,
                    "times_faster_than_reference": (times["reference"] / times[name]).median(),
                    "times_faster_than_reference_one_block": one,
                    "peak_memory_mb": float(run_alone(__name__, name, str(size), device.type))
                    if size >= settings["memory_from"]
                    else None,
                }
            )
    table = pd.DataFrame(rows)
    exponents = {name: _exponent(part) for name, part in table.groupby("estimator")}
    table["exponent"] = table["estimator"].map(exponents)
    table["image"], table["device"] = IMAGE, describe(device)
    return table[list(COLUMNS)]


def _exponent(rows: pd.DataFrame) -> float:
    """Slope of log time against log pixels."""
    if len(rows) < 2:
        return float("nan")
    return float(np.polyfit(2 * np.log(rows["size_px"]), np.log(rows["seconds"]), 1)[0])


def _memory(estimator: str, size: int, device: torch.device) -> float:
    """Peak memory of one map in MB: of the GPU if it is there, else of this process."""
    small = image(16, 3).to(device)
    lmi_map(estimator, small, small.clone())  # whatever is set up once
    y, x = (image(size, seed).to(device) for seed in (1, 2))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        lmi_map(estimator, y, x)
        return (torch.cuda.max_memory_allocated(device) - before) / 1024**2
    return peak_mb(lambda: lmi_map(estimator, y, x))


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(_memory(sys.argv[1], int(sys.argv[2]), torch.device(sys.argv[3])))
