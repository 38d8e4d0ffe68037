"""Backgrounds: what is seen behind the person."""
