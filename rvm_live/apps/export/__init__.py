"""The network as a file for another runtime, checked against the one it was made from."""
