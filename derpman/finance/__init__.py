"""Money: plans, orders and their payment, wallets, the ledger and its check."""
