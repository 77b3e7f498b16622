"""Port 5050, from the socket to the journal: listening, admission, readers and what they get."""
