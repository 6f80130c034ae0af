"""One engine for all suites: tasks over an executor, stored when done, resumed.

task.py       a task: a call and the file that keeps its result; an executor, where tasks run; run(), what is missing
processes.py  the executor of this machine
session.py    one call of a suite on a results directory: what is there, the manifest, the exit code
"""
