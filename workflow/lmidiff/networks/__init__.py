"""The networks, in plain torch and MONAI; what trains them stands in models."""
