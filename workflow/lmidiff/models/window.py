"""Training a U-Net on a part of its slices: a step costs what its pixels do."""

import torch


def random_window(
    pixels: tuple[int, int], share: float, multiple: int, generator: torch.Generator
) -> tuple[slice, slice]:
    """Rows and columns that a step sees, somewhere in the image.

    Whatever surrounds a pixel is measured on whole slices first, so that a window's edge is no edge
    of an LMI map; only the network sees the window.

    Args:
        pixels: height and width of the slices.
        share: of the height and of the width, in (0, 1]; at 1 nothing is drawn.
        multiple: the window's height and width are multiples of it, one at least.
        generator: on the CPU; draws the place.
    """
    if share == 1:
        return slice(None), slice(None)
    places = []
    for length in pixels:
        side = min(max(round(share * length / multiple), 1) * multiple, length)
        start = int(torch.randint(length - side + 1, (), generator=generator))
        places.append(slice(start, start + side))
    return places[0], places[1]
