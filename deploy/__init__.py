"""How Samband is run: on one machine, and on a cluster."""
