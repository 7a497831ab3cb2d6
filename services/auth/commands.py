"""Operators' commands of auth."""

from services.auth.organisations import commands as organisations
from services.auth.passwords import commands as passwords
from services.auth.people import commands as people

COMMANDS = (*people.COMMANDS, *organisations.COMMANDS, *passwords.COMMANDS)
