"""DERP Management: rent out private Tailscale DERP relays."""
