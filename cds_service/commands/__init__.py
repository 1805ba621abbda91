"""What the command line does, one module a command or part of one; cli.py lists them."""
