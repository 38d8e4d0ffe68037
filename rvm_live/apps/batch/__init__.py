"""Files and folders: the same stages as live video, with queues that lose nothing."""
