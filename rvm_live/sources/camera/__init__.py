"""Cameras, through ``cv2.VideoCapture``."""
