"""Rentals: one customer's right to three relays until a date."""
