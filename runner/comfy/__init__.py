"""The ComfyUI protocol: what is said (protocol), saying it (client), what a server has (object_info)."""
