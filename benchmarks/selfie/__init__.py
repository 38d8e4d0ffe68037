"""MediaPipe's selfie segmentation, for comparison, in a Python of its own."""
