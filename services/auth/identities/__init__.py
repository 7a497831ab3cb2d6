"""Identities: who somebody is elsewhere, and the one account here that each is linked to."""
