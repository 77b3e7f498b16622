"""The small commands of the console script, one module each."""
