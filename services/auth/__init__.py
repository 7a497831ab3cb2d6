"""Auth decides who a person is: it accepts an address and a code, publishes `AccountChanged` and `OtpRequested`."""
