"""Codes: asked for by anybody, mailed to members only, redeemed once."""
