"""One loop for every model, and what lets it stop, go on and use several processes."""
