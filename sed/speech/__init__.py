"""Speech detection: segmentation (the default), WebRTC and Silero voice activity detectors."""
