"""Organisations: whom people act for, who belongs where, and what each may do."""
