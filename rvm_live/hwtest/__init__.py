"""``hwtest``: probes cameras and this machine, and finds out what to use here. Prints nothing."""
