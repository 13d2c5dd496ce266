"""Devices: which Tailscale nodes may use a customer's relays, and which of them knock."""
