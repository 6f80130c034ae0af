"""The performance suite: this project against a NumPy/SciPy loop and against the machine, in one run.

One machine differs from the next and from itself an hour later, so every number stands beside another that was
measured in the same minute: A B C A B C ..., a ratio for each round, and the median of the ratios.
"""
