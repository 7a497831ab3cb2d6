"""Commands: what an operator can ask of every service, one module a feature."""
