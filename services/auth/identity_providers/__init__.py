"""Identity providers: who else says who somebody is, by OpenID Connect; each is a file, none is code."""
