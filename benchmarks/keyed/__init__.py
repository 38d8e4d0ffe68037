"""Truth by chroma key: alpha and colours of a person in front of a screen, and scenes composited from them."""
