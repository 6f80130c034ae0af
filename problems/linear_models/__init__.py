"""Losses of a linear model's margin; one loss per file."""
