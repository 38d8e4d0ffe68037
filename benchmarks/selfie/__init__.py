"""MediaPipe's selfie segmentation, for comparison, run in a separate Python."""
