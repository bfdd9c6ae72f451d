"""Images as arrays: contrast, frequencies, intensities, structure."""
