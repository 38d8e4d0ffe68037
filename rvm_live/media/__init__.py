"""What a file says about its picture and its time, and its pictures one after the other: shared by all who read one."""
