"""The life of runs: who is at one, what it does, how all of them stand, and merging those that are finished."""
