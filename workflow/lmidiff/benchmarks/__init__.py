"""What the study's parts cost, side by side in one run: the target ``bench``."""
