"""Request: what a system outside does, as a command: make keys, send a signed request, upload a file."""
