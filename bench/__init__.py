"""Bench: how much the delivery carries and how fast, on the product's own code and real servers."""
