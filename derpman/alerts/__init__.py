"""Alerts: something an operator should know, raised once and resolved when it is over."""
