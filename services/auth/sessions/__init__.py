"""Sessions: who is logged in, and from which devices an account knows its person."""
