"""The whole main job in one process, with nothing to configure: ``make demo``."""
