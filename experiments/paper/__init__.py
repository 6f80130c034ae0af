"""The figures of the D-Adaptation paper [1], each a suite: |x|, twelve LIBSVM problems, d_0, and learning rates.

    suite.py      the values of a suite that trains
    sets.py       the twelve problems, their published accuracies, and which files stand for them here
    training.py   groups of runs, a method on a problem with several seeds, and the tasks they are cut into
    tuning.py     the grid search of a learning rate, until the best is interior; search.py: the runs it wants
    work.py       what suites that train share: problems, waves of groups, what neighbours have stored
    tables.py     accuracies, differences and their standard errors, from the stored runs alone
    figures.py    the figures, from the stored runs alone
    pages.py      report.html, from the stored files alone
    convex.py, sensitivity.py, toy.py    the suites

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""
