"""Who may read port 5050: tokens, certificates, local users, and what they may see."""
