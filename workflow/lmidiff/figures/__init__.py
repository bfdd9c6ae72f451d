"""Figures, each from the table or the pictures beside it."""
