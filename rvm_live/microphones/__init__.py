"""Microphones: where the sound of a recording comes from. Nothing here is imported before somebody asks for sound."""
