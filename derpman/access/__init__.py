"""Log-in, sessions, passwords: who is asking, and whether he is who he says."""
