"""Organisations: whom people act for."""
