"""Truth by chroma key: alpha and colours of a person before a screen, and scenes made of them."""
