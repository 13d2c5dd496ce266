"""Health of servers, moving relays between them, and failover."""
