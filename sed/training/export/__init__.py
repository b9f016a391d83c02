"""Export of a trained tagger to one calibrated ONNX file, optionally with 8-bit weights."""
