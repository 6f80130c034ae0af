"""The figures of the D-Adaptation paper [1], each a suite: |x|, twelve LIBSVM problems, d_0, and learning rates.

    sets.py       the twelve problems, their published accuracies, and which files stand for them here
    training.py   one task: a method on a problem with several seeds; what worker processes do
    tuning.py     the grid search of a learning rate, until the best is interior
    session.py    a results directory while a suite works in it; its manifest
    work.py       groups of runs over processes: how long it will take, progress, what is stored already
    tables.py     accuracies, differences and their standard errors, from the stored runs alone
    figures.py    the figures, from the stored runs alone
    pages.py      report.html, from the stored files alone
    convex.py, sensitivity.py, learning_rates.py, toy.py    the suites

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""
