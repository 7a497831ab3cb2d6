"""Ledger writes numbered entries into books and publishes `EntryAdded`: the writing half of the fault suite's pair."""
