"""Whether two names lead to one image: links, volumes of a file, the two halves of a pair."""

import os
from pathlib import Path

from lmidiff.common.files import split_volume

_PARTNERS = ((".hdr", ".img"), (".hdr.gz", ".img.gz"))


def identity(path: str | Path) -> tuple[object, int]:
    """What an image is, whatever it is called: the file and the number of the volume in it.

    Symbolic and hard links are what they lead to, the header of a pair is its image, and a file
    without a number is its first volume. A file that does not exist yet is its name.
    """
    file, number = split_volume(path)
    for header, image in _PARTNERS:
        partner = file.with_name(file.name.removesuffix(header) + image)
        if file.name.endswith(header) and partner.exists():
            file = partner
    try:
        found = file.stat()
    except OSError:
        return os.path.realpath(file), number or 0
    return (found.st_dev, found.st_ino), number or 0
