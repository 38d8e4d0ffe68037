"""RVM's network in torch, written anew from the paper and the shapes of the official checkpoints.

May import core.

>>> from rvm_live.network.network import MattingNetwork
>>> network = MattingNetwork("mobilenetv3", "deep_guided_filter")
"""
