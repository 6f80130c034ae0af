"""Extended precision, rational numbers and matrices: what every proof is computed with."""
