"""Mutants: the platform with one safety piece switched off, which the tests or the fault suite must notice (rel-R15).

Some pieces have no mutant, because without them the effects are right all the same, by design:

- The relay's advisory lock. Two leaders send the same ids, and every inbox drops what comes again.
- The producer that is thrown away after a failure. What the old one still gets out is the same ids again.
- `skip locked` where a courier or a retry takes its next row. Without it they wait for each other and read again.
"""
