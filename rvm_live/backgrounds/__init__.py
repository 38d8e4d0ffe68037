"""Backgrounds: what is seen behind the person.

May import core, finishing, media, network, sources, system, weights.

>>> from rvm_live.backgrounds.parse import parse
>>> [background] = parse("blur:30")
"""
