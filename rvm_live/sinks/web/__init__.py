"""A web page that shows and controls the program, a transparent source for compositors, and an HTTP API.

May import what :mod:`rvm_live.sinks` may.

>>> from rvm_live.sinks.web.address import Address
>>> str(Address.parse("127.0.0.1:8870"))
'127.0.0.1:8870'
"""
