"""Where a client shows what it received."""
