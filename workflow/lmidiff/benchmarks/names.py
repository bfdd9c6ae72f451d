"""What the benchmarks' tables call things; figures know a table by these alone."""

ONE_BLOCK = "reference, one block"
MEASURED = "measured"
TRAINING, SAMPLING = "training step", "sampling step"
PHASES = (TRAINING, SAMPLING)
