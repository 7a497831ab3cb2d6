"""Lint: rules of this house that no linter knows, each over the syntax tree of one file."""
