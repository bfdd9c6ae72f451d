"""Small random networks in the form in which MeshNet is published."""

import json
from pathlib import Path

import numpy as np

DILATIONS = (1, 2, 1)


def publish(
    folder: Path,
    seed: int = 0,
    activation: str = "relu",
    weights: str = "weights.bin",
    normalised: bool = False,
) -> list[tuple]:
    """A small random network in the published form; its weights, (k, k, k, in, out) as stored.

    Layers that are ``normalised`` say so in their names and have no bias, but for the last.
    """
    generator = np.random.default_rng(seed)
    layers, specs, raw, kept = [{"class_name": "InputLayer", "config": {}}], [], b"", []
    channels = [1, 3, 3, 3]
    for number, dilation in enumerate((*DILATIONS, 1)):
        side = 3 if number < len(DILATIONS) else 1
        inputs = channels[number] if number < 3 else 3
        kernel = generator.normal(size=(side, side, side, inputs, 3)).astype("<f4")
        bias = generator.normal(size=3).astype("<f4")
        alone = normalised and side == 3
        label = f"c{number}_gn" if alone else f"c{number}"
        config = {"name": label, "dilation_rate": [dilation] * 3, "strides": [1, 1, 1]}
        config |= {"padding": "same", "activation": "linear"}
        layers.append({"class_name": "Conv3D", "config": config})
        if side == 3:
            layers.append({"class_name": "Activation", "config": {"activation": activation}})
        for name, array in (("kernel", kernel), ("bias", bias))[: 1 if alone else 2]:
            shape = list(array.shape)
            specs.append({"name": f"{label}/{name}", "shape": shape, "dtype": "float32"})
            raw += array.tobytes()
        kept.append((kernel, bias, dilation))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / weights).write_bytes(raw)
    model = {
        "modelTopology": {"model_config": {"config": {"layers": layers}}},
        "weightsManifest": [{"paths": [weights], "weights": specs}],
    }
    (folder / "model.json").write_text(json.dumps(model))
    return kept
