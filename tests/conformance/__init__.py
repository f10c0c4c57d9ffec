"""What a client may expect from a ComfyUI-compatible server, one statement a test."""
