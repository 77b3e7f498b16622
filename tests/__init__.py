"""Tests, laid out as the package they test."""

import signal

# A run in the background of a shell has SIGINT ignored, and its children would
# inherit that; those that tests interrupt shall end as they do at a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
