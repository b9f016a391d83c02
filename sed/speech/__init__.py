"""Is anyone speaking: segmentation (default), WebRTC and Silero voice activity detection."""
