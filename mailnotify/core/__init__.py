"""Floor 0. Pure values and rules: no Twisted, no files, no clock."""
