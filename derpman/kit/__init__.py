"""What every module stands on. No business words in here."""
