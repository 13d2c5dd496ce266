"""Servers: cloud machines reached over SSH, the node on each, and the link to it."""
