"""Suites of experiments: methods from dadapt_convex on problems from problems, over processes, with a report.

python -m experiments.run --help
"""
