"""Operators' commands of auth."""

from services.auth.people import commands as people

COMMANDS = people.COMMANDS
