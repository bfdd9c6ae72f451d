"""Numbers about translations, samples, data and cost."""
