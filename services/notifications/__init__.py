"""Notifications owes and sends e-mails: it reads `AccountChanged` and `OtpRequested`, publishes what became of each mail."""
