"""The top floor: the only composition, the only reactor."""
