"""What an operator may write, and how it becomes typed values."""
