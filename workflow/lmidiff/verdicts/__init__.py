"""The claims of the paper and what the scores say about them."""
