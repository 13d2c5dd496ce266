"""Distributors: their classes, purchases, customers, commissions and statements."""
