"""How the network that finds the brain was trained, and what it was compared with."""
