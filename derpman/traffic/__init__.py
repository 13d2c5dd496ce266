"""Traffic: what relays and servers sent, what rentals may send, and what happens at the end."""
