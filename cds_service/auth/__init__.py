"""Who may call, and which servers may be called for each: the file of clients, their keys, authentication."""
