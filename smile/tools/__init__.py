"""Commands that look after results: ``smile-status``, ``smile-compare``, ``smile-compact`` and others."""
