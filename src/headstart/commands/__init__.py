"""One file for each use case. Python, the command line and the server are doors to these."""
