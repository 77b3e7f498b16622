"""The SQL of each schema version, in the order of their numbers."""
