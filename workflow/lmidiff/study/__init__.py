"""A validated config as an object: who, what and which files."""
