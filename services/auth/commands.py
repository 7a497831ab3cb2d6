"""Operators' commands of auth."""

from services.auth.identity_links import commands as identity_links
from services.auth.passwords import commands as passwords
from services.auth.people import commands as people
from services.auth.sessions import commands as sessions
from services.auth.terms import commands as terms
from services.auth.users import commands as organisations

COMMANDS = (
    *people.COMMANDS,
    *organisations.COMMANDS,
    *identity_links.COMMANDS,
    *passwords.COMMANDS,
    *terms.COMMANDS,
    *sessions.COMMANDS,
)
