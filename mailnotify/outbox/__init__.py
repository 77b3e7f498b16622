"""The durable outbox: a letter that was queued is sent, or somebody hears why not."""
