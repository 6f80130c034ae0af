"""Certificates of minima over a ball around x0."""
