"""Commands that look after results: ``smile-status``, ``smile-compact``, ``smile-sync``."""
