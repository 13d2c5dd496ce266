"""ACL: the part of a tailnet's policy that points it at the customer's three relays."""
