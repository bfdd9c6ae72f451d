"""``lmidiff models``: the weights that come with the package."""

import argparse
import textwrap

from lmidiff.models.shipped import shipped, weights_of


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "models", help="what comes with the package: training, scores, licence"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:  # noqa: ARG001
    """Print the card of each model."""
    for name, card in shipped().items():
        size = weights_of(name).stat().st_size / 1e6
        print(f"{name}  ({size:.1f} MB)")
        for key, text in card.items():
            lines = text if isinstance(text, list) else [text]
            for line in lines:
                indent = " " * 12
                print(textwrap.fill(f"  {key:<9} {line}", 98, subsequent_indent=indent))
                key = ""
