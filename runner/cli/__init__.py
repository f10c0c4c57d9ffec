"""The command line: flags → settings → one call → print → exit code."""
