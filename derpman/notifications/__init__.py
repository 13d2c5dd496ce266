"""Mails: queued in the transaction that causes them, retried, never lost, readable by admins."""
