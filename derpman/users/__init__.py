"""Accounts: registration, verification, suspension."""
