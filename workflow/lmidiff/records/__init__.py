"""What a result was made from, and recorded runs: written, checked and drawn again."""
