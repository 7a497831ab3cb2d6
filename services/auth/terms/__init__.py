"""Terms: what must be read and accepted before anything else of a service, and who has accepted which version."""
