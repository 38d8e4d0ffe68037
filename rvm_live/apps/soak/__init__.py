"""Runs the live pipeline for a long time, with faults on purpose, and tells whether it ages."""
