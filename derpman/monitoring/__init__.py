"""Monitoring: what servers measure, kept as history."""
