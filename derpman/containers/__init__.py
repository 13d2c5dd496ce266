"""Containers: what relays should run where, and what of it does."""
