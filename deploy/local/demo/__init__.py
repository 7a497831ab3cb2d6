"""Demo: a day in the platform's life, on real parts, with two power cuts in the middle.

`python -m deploy.local.demo` starts PostgreSQL, Kafka, a mail server and Samband's services, plays the acts, prints what
happened, and exits with 1 if anything that should have happened did not.
"""
