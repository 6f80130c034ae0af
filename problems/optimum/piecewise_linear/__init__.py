"""Certificates of piecewise-linear losses: exact vertices, exact minimisers, duality gaps."""
