"""Certificates of losses with soft kinks: an exact minimiser and the distance to all of them."""
