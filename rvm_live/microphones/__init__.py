"""Where the sound of a recording comes from. Nothing here is imported until sound is wanted.

May import core, finishing, media, network, system, weights.

>>> from rvm_live.microphones.factory import open_microphone
>>> microphone = open_microphone("default")  # doctest: +SKIP
"""
