"""Faults: everything that can break is broken, by a seeded schedule, and a checker counts what it cost."""
