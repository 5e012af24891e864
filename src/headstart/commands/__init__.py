"""One file per use case, called from Python, the command line and the server."""
