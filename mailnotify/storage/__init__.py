"""SQLite files of ours: opened alone, sound, private, and used in whole transactions."""
