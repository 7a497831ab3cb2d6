"""Provider: an OpenID Connect provider for laptops and tests, with synthetic people, and faults that can be switched on."""
