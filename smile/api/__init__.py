"""The Python API: ``import smile``. Thin over the rooms that the command line uses; nothing is computed twice."""
