"""Passwords: hashed in a bounded pool, never common ones, and a block after several wrong ones in a row."""
