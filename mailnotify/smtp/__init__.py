"""The sending half: composing a letter and submitting it."""
