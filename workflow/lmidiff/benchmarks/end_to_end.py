"""Seconds to translate a slice, from the source to the result: the default against the authors'."""

import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import pandas as pd
import torch

from lmidiff.benchmarks.cases import (
    model_settings,
    parameters,
    sampling_settings,
    slices,
)
from lmidiff.benchmarks.measure import one_block, synchronize, timed_lmi
from lmidiff.common.devices import describe
from lmidiff.diffusion import SliceNoise
from lmidiff.models.diffusion import DiffusionModel
from lmidiff.options import Sampling
from lmidiff.sampler import path, times_of

COLUMNS = (
    "setting",
    "image_size_px",
    "parameters_millions",
    "estimator",
    "sampler",
    "steps",
    "draws",
    "batch",
    "extrapolated_from_steps",
    "seconds_per_step",
    "seconds_per_slice",
    "lmi_share",
    "times_the_default",
    "times_the_short",
    "device",
)
#: Of a model's block, what the authors' image size and network are not.
LAYER = ("diffusion", "guidance")


def benchmark(
    settings: Mapping[str, Any],
    device: torch.device,
    default: Mapping[str, Any],
    paper: Mapping[str, Any],
) -> pd.DataFrame:
    """Time whole translations with untrained networks.

    Args:
        default, paper: the configs of the default study and of the authors' settings.
        settings: ``timed_steps``, steps of the authors' sampler that are really run; ``batch`` of
            slices; ``default_only_size``, to time the authors' settings at the default's network
            and image size alone; ``method`` of the default that the ratios are against; and
            ``short``, sampler's settings in place of that method's own, for ratios too.

    Returns:
        One row a setting, ``COLUMNS``. ``extrapolated_from_steps`` is empty where all steps were
        run; elsewhere the mean second of that many steps stands for every step.
    """
    size, method = default["data"]["grid"]["image_size"], settings["method"]
    own = model_settings(default, default["methods"][method]["model"])
    theirs = model_settings(paper, "lmidiffusion")
    # The authors' layer, schedule and sampler on the default's network: apart from the network.
    mixed = {**own, **{key: theirs[key] for key in LAYER}, "contrast_randomised": False}
    authors = sampling_settings(paper, "lmidiffusion")
    usual = sampling_settings(default, method)
    short = replace(usual, **settings["short"])
    cases = [
        (f"default, {method}", own, size, usual, False),
        (f"default, {method}, close to 1000 steps", own, size, short, False),
    ]
    for text, whole in (("streamed reference", False), ("reference in one block", True)):
        cases.append((f"authors' sampling, default network, {text}", mixed, size, authors, whole))
    if not settings["default_only_size"]:
        full = paper["data"]["grid"]["image_size"]
        for text, whole in (("streamed reference", False), ("reference in one block", True)):
            cases.append((f"paper preset, {text}", theirs, full, authors, whole))

    rows = []
    for name, block, pixels, sampling, whole in cases:
        complete = name.startswith("default")
        steps = None if complete else min(settings["timed_steps"], sampling.steps)
        with one_block(whole):
            row = _translate(block, pixels, sampling, settings["batch"], steps, device)
        rows.append({"setting": name, **row})
    table = pd.DataFrame(rows)
    table["extrapolated_from_steps"] = table["extrapolated_from_steps"].astype("Int64")
    for place, name in enumerate(("times_the_default", "times_the_short")):
        table[name] = table["seconds_per_slice"] / table["seconds_per_slice"].iloc[place]
    table["device"] = describe(device)
    return table[list(COLUMNS)]


@torch.no_grad()
def _translate(
    block: Mapping[str, Any],
    size: int,
    sampling: Sampling,
    batch: int,
    timed_steps: int | None,
    device: torch.device,
) -> dict[str, Any]:
    model = DiffusionModel(block, device)
    model.network.eval()
    source = slices(batch, size, device)
    noise = SliceNoise(list(range(batch)), device)
    schedule = model.schedule
    times = times_of(schedule, sampling)
    if timed_steps is not None:  # spread over the schedule: histograms empty where it is noisy
        kept = range(0, len(times), max(1, len(times) // timed_steps))
        times = [times[k] for k in kept][:timed_steps]
    draws = sampling.draws if timed_steps is None else 1

    def draw(denoise, count: int | None) -> None:
        steps = path(schedule, denoise, sampling, noise, source.shape[1:], times=times)
        for _ in islice(steps, count):
            pass

    draw(model.denoiser(source, sampling.precision), 2)  # the beginning and one step, untimed
    synchronize(device)
    with timed_lmi(device) as lmi:
        begin = time.perf_counter()
        denoise = model.denoiser(source, sampling.precision)
        synchronize(device)
        static = time.perf_counter() - begin
        begin = time.perf_counter()
        for _ in range(draws):
            draw(denoise, None)
        synchronize(device)
        stepping = time.perf_counter() - begin
    a_step = stepping / draws / len(times)
    total = static + a_step * sampling.steps * sampling.draws
    return {
        "image_size_px": size,
        "parameters_millions": parameters(model),
        "estimator": model.guidance.estimator,
        "sampler": sampling.sampler,
        "steps": sampling.steps,
        "draws": sampling.draws,
        "batch": batch,
        "extrapolated_from_steps": None if timed_steps is None else len(times),
        "seconds_per_step": a_step / batch,
        "seconds_per_slice": total / batch,
        "lmi_share": sum(lmi) / (static + stepping),
    }
