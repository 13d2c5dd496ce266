"""Plans: what a rental costs and holds."""
