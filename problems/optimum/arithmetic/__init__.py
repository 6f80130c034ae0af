"""Extended precision, rational numbers and matrices, which proofs are computed with."""
