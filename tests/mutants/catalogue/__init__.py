"""Catalogue: every mutant, by what it spoils."""
