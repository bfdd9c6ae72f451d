"""What the slices of a study show, and what its segmenter labels: the brain, or the whole head."""

BRAIN = "brain"
"""The brain, 0 outside of it; its tissues are labelled."""

HEAD = "head"
"""All within the skin, 0 outside of it; clusters of the whole slice are labelled."""

TISSUES = ("csf", "gm", "wm")
"""Names of a segmenter's labels 1, 2, 3 of a brain."""

CLUSTERS = ("dark", "middle", "bright")
"""Names of a segmenter's labels 1, 2, 3 of whole slices."""
