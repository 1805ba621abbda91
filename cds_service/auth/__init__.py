"""Who may call, and what each of them may have called: the file of clients, their keys, the gate."""
