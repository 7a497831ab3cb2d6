"""The local stack: real servers for demo, tests and a laptop, started by one controller and gone with it."""
