"""Many runs: planned, frozen, queued, and each of them tried by one process at a time."""
