"""One suite per file: a module-level SUITE, a value. A new file here is a new suite."""
