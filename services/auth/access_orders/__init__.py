"""Access orders: whoever lacks access asks, and those who may give it decide."""
