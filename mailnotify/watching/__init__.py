"""The watching half: which mailboxes are looked after, by whom, and what is new in them."""
