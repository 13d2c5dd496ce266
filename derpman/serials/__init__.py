"""Serial numbers: prepaid codes that buy one rental period, once."""
