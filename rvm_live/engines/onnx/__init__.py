"""ONNX files of RVM, through ONNX Runtime."""
