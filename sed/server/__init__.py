"""WebSocket and HTTP server with the web page."""
