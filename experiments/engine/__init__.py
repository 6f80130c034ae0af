"""One engine for all suites: tasks over an executor, stored when done, resumed.

task.py       a task: a call, everything that its result depends on, and the file that keeps the result
executor.py   where tasks run: submit() and as_completed(); processes of this machine are one such place
run.py        the tasks that are missing, longest first, with progress
session.py    one call of a suite on a results directory: what is there, the manifest, the exit code
"""
