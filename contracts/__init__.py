"""What services say to each other: every message, its topic, its key, and how private each field is."""
