"""People: who has an account, under which address."""
