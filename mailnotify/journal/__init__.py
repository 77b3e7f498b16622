"""The durable order of events, and the queue for all that leaves."""
