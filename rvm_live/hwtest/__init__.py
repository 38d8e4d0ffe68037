"""``hwtest``: probes cameras and this machine, and finds out what to use here. Settings in, a result out; prints nothing."""
